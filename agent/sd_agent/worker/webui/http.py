"""HTTP to the WebUI: kept-alive connections, bounded replies, and never a second try by itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from sd_agent.contract.errors import ErrorCode
from sd_agent.worker.config import Secret
from sd_agent.worker.errors import TaskError

__all__ = ["Reply", "WebUIClient"]

# 64 images of 2048x2048 as base64 PNG are about 400 MB; what is larger is no reply.
_MAX_REPLY_BYTES = 512 * 1024 * 1024
_QUICK = urllib3.Timeout(connect=2.0, read=5.0)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply of any status."""

    status: int
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The reply's JSON value, or None where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class WebUIClient:
    """Requests to one WebUI. slow_s: how long a generation or a model load may take."""

    def __init__(self, *, url: str, slow_s: float, auth: Secret | None = None) -> None:
        self._url = url
        self._slow = urllib3.Timeout(connect=2.0, read=slow_s)
        # Retries are off: a generation that was sent twice costs the GPU twice.
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=2, retries=False)
        self._headers = {"content-type": "application/json"}
        if auth is not None:
            self._headers |= urllib3.make_headers(basic_auth=auth.reveal())

    def get(self, path: str) -> Reply:
        """A quick question. Raises TaskError (webui_error, to be retried) where there is no reply."""
        return self._request("GET", path, None, _QUICK)

    def post(self, path: str, body: Any = None, *, slow: bool = False) -> Reply:
        """A command; `slow` for what may take as long as a generation. Raises as get does."""
        data = orjson.dumps({} if body is None else body)
        return self._request("POST", path, data, self._slow if slow else _QUICK)

    def _request(self, method: str, path: str, body: bytes | None, timeout: urllib3.Timeout) -> Reply:
        try:
            response = self._pool.request(
                method,
                self._url + path,
                body=body,
                headers=self._headers,
                timeout=timeout,
                preload_content=False,
                redirect=False,
            )
            with contextlib.closing(response):
                data = response.read(_MAX_REPLY_BYTES + 1)
                response.drain_conn()
        except (HTTPError, OSError) as error:
            reason = f"the WebUI did not answer {method} {path} ({type(error).__name__})"
            raise TaskError(ErrorCode.WEBUI_ERROR, reason, retry=True) from error
        if len(data) > _MAX_REPLY_BYTES:
            raise TaskError(ErrorCode.WRONG_RESULT, f"the WebUI's reply is larger than {_MAX_REPLY_BYTES} bytes")
        return Reply(status=response.status, body=data)
