"""An action that moto lacks answers 400, which SDKs report at once; moto's own 500 would be retried for minutes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["answering"]


def answering(call_action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """moto's BaseResponse.call_action with NotImplementedError turned into the protocol's own error."""

    def call(self: Any) -> Any:
        try:
            return call_action(self)
        except NotImplementedError as missing:
            message = f"The sandbox does not have this: {missing}"
        if self.headers.get("X-Amz-Target"):
            body = json.dumps({"__type": "UnknownOperationException", "message": message})
            return 400, {"Content-Type": "application/x-amz-json-1.1", "status": 400}, body
        error = f"<Error><Code>InvalidAction</Code><Message>{escape(message)}</Message></Error>"
        body = f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"
        return 400, {"Content-Type": "text/xml", "status": 400}, body

    return call
