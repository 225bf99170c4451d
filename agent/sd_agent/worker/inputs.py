"""Input images: every URL and data URI in a body becomes plain base64 of a checked image before the WebUI sees it."""

from __future__ import annotations

import base64
import copy
from collections.abc import Collection, Mapping
from typing import Any

from sd_agent.contract import images, names
from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.images import MAX_INPUT_BYTES
from sd_agent.worker.errors import TaskError, Unavailable
from sd_agent.worker.fetch import HttpFetcher
from sd_agent.worker.pictures import decode_base64, sniff
from sd_agent.worker.ports import Fetcher, Storage

__all__ = ["InputFetcher", "fill_images"]

# The most that one task may hold in memory.
_MAX_TOTAL_BYTES = 128 * 1024 * 1024


def fill_images(content: Mapping[str, Any], fetcher: Fetcher, tenant: str) -> dict[str, Any]:
    """A copy of an SD WebUI body whose image fields are all plain base64.

    Raises TaskError: input_refused, input_unavailable, or invalid_request for text that is no image.
    """
    body = copy.deepcopy(dict(content))
    total = 0
    for path in images.image_paths(body):
        text = images.get_at(body, path)
        if not text:
            continue
        data = _image(text, fetcher, tenant, images.dotted(path))
        total += len(data)
        if total > _MAX_TOTAL_BYTES:
            raise TaskError(ErrorCode.INPUT_REFUSED, f"input images: more than {_MAX_TOTAL_BYTES} bytes together")
        images.set_at(body, path, base64.b64encode(data).decode("ascii"))
    stray = images.stray_urls(body)
    if stray:
        field = images.dotted(stray[0])
        raise TaskError(ErrorCode.INPUT_REFUSED, f"{field} holds a URL, and no input is taken from there")
    return body


def _image(text: str, fetcher: Fetcher, tenant: str, field: str) -> bytes:
    if images.is_url(text):
        data = fetcher.fetch(text.strip(), tenant)
        if sniff(data) is None:
            raise TaskError(
                ErrorCode.INPUT_REFUSED, f"{field}: what the URL gives is not a PNG, JPEG, WebP, GIF or BMP"
            )
        return data
    decoded = decode_base64(text)
    if decoded is None or sniff(decoded) is None:
        raise TaskError(ErrorCode.INVALID_REQUEST, f"{field} is neither a URL nor the base64 text of an image")
    return decoded


class InputFetcher:
    """http, https and s3 URLs."""

    def __init__(
        self,
        *,
        http: HttpFetcher,
        storage: Storage,
        buckets: Collection[str],
        tenant_names: Collection[str] = (),
    ) -> None:
        self._http = http
        self._storage = storage
        self._buckets = frozenset(buckets)
        self._tenants = frozenset(tenant_names)

    def fetch(self, url: str, tenant: str) -> bytes:
        """See ports.Fetcher."""
        scheme = url.partition(":")[0].lower()
        if scheme in ("http", "https"):
            return self._http.fetch(url)
        if scheme == "s3":
            return self._fetch_object(url, tenant)
        raise TaskError(ErrorCode.INPUT_REFUSED, f"input image: {scheme} URLs are not taken")

    def _fetch_object(self, url: str, tenant: str) -> bytes:
        bucket, key = names.split_s3_url(url)
        if bucket not in self._buckets or not self._may_read(key, tenant):
            raise TaskError(ErrorCode.INPUT_REFUSED, "input image: this s3 URL is outside of what the tenant may read")
        try:
            return self._storage.get(bucket, key, MAX_INPUT_BYTES)
        except LookupError:
            raise TaskError(ErrorCode.INPUT_UNAVAILABLE, "input image: there is no such object in S3") from None
        except ValueError:
            raise TaskError(ErrorCode.INPUT_REFUSED, f"input image: larger than {MAX_INPUT_BYTES} bytes") from None
        except Unavailable as error:
            raise TaskError(ErrorCode.INPUT_UNAVAILABLE, "input image: S3 did not answer", retry=True) from error

    def _may_read(self, key: str, tenant: str) -> bool:
        first = key.partition("/")[0]
        if not key or first == names.REQUESTS_PREFIX:
            return False
        return first not in self._tenants if tenant == names.DEFAULT_TENANT else first == tenant
