"""The sandbox's Kubernetes API, as its administrator, for the little that the embedded AWS asks of it."""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["poster"]

_TIMEOUT_S = 5.0


def poster(url: str, pki: Path) -> Any:
    """A function that posts a JSON document to a path; the certificates are read when it is called.

    It raises OSError (urllib.error.HTTPError for an error answer).
    """

    def post(path: str, document: dict[str, Any]) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(
            url + path, data=json.dumps(document).encode(), headers={"Content-Type": "application/json"}
        )
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    return post
