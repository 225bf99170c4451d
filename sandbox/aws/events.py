"""EventBridge events as AWS services put them (PutEvents refuses sources that begin with `aws.`)."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ministack.core.responses import set_request_account_id, set_request_region
from ministack.services import eventbridge

from sandbox.aws.asgi import Response, Scope

__all__ = ["EventInjector"]


class EventInjector:
    """Puts events on the default bus of one account and region."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def put(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Deliver one event to the targets of every rule that matches it; from any thread."""
        # In a context of its own: the account and the region of the request that caused the event stay as they are.
        contextvars.copy_context().run(self._put, source, detail_type, detail, resources)

    def _put(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        set_request_account_id(self._account)
        set_request_region(self._region)
        entry = {
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "Resources": list(resources),
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)

    async def route(self, scope: Scope, body: bytes) -> Response:
        """POST {source, detail_type, detail, resources}; 400 with a message if it is anything else."""
        try:
            event = json.loads(body)
            source, detail_type, detail = str(event["source"]), str(event["detail_type"]), dict(event["detail"])
            resources = [str(arn) for arn in event.get("resources", [])]
        except (ValueError, KeyError, TypeError) as error:
            return Response.json({"message": f"Send source, detail_type, detail, resources: {error!r}"}, 400)
        self.put(source, detail_type, detail, resources)
        return Response.json({})
