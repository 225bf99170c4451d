"""Input images by http and https: size, time and address limits hold on every redirect."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.images import MAX_INPUT_BYTES
from sd_agent.worker.addresses import is_public
from sd_agent.worker.errors import TaskError

__all__ = ["HttpFetcher", "resolve"]

_MAX_SECONDS = 10.0
_MAX_REDIRECTS = 5
_CHUNK = 64 * 1024
_PORTS = {"http": 80, "https": 443}
# Statuses that another attempt may not meet.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> list[str]:
    """All numeric addresses of a host, without repeats. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class HttpFetcher:
    """Fetches one URL at a time. allow: `host:port` pairs that need not be public."""

    def __init__(
        self,
        *,
        allow: Collection[str] = (),
        resolve: Resolve = resolve,
        max_bytes: int = MAX_INPUT_BYTES,
        max_seconds: float = _MAX_SECONDS,
    ) -> None:
        self._allow = frozenset(allow)
        self._resolve = resolve
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds

    def fetch(self, url: str) -> bytes:
        """The body behind `url`. Raises TaskError: input_refused, or input_unavailable (retried where it may pass)."""
        deadline = time.monotonic() + self._max_seconds
        for _ignored in range(_MAX_REDIRECTS + 1):
            parts = _split(url)
            body, location = self._get(parts, deadline)
            if location is None:
                return body
            url = urljoin(url, location)
        raise _refused(f"more than {_MAX_REDIRECTS} redirects")

    def _get(self, parts: SplitResult, deadline: float) -> tuple[bytes, str | None]:
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        failure = _unavailable(f"{host} cannot be reached", retry=True)
        for address in self._addresses(host, port):
            try:
                with self._open(parts, host, port, address, deadline) as response:
                    return self._read(response, host, deadline)
            except SSLError as error:
                raise _unavailable(f"{host} has no valid certificate", retry=False) from error
            except (HTTPError, OSError) as error:
                reason = f"{host} did not answer in time or broke off ({type(error).__name__})"
                failure = _unavailable(reason, retry=True)
        raise failure

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise _unavailable(f"{host} has no address", retry=True) from error
        if f"{host}:{port}" not in self._allow and not all(is_public(address) for address in addresses):
            raise _refused(f"{host} is not a public address")
        return addresses[:3]

    def _open(
        self, parts: SplitResult, host: str, port: int, address: str, deadline: float
    ) -> contextlib.AbstractContextManager[urllib3.BaseHTTPResponse]:
        # The connection goes to the address that was checked: a second resolution could give another one.
        pool: urllib3.HTTPConnectionPool
        if parts.scheme == "https":
            pool = urllib3.HTTPSConnectionPool(address, port, server_hostname=host, assert_hostname=host)
        else:
            pool = urllib3.HTTPConnectionPool(address, port)
        left = max(0.1, deadline - time.monotonic())
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        bracketed = f"[{host}]" if ":" in host else host
        headers = {
            "Host": bracketed if parts.port is None else f"{bracketed}:{port}",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "User-Agent": "sd-agent",
        }
        response = pool.request(
            "GET",
            target,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=min(3.0, left), read=left),
        )
        return _closing(response, pool)

    def _read(self, response: Any, host: str, deadline: float) -> tuple[bytes, str | None]:
        location = response.headers.get("location")
        if response.status in (301, 302, 303, 307, 308) and location:
            return b"", location
        if response.status != 200:
            raise _unavailable(f"{host} answered {response.status}", retry=response.status in _TRANSIENT)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise _refused(f"larger than {self._max_bytes} bytes")
        chunks, size = [], 0
        # read1 returns what one packet brought, so that a slow sender meets the deadline and not just the socket's.
        while chunk := response.read1(_CHUNK):
            size += len(chunk)
            if size > self._max_bytes:
                raise _refused(f"larger than {self._max_bytes} bytes")
            if time.monotonic() > deadline:
                raise _unavailable(f"{host} took longer than {self._max_seconds:g} s", retry=True)
            chunks.append(chunk)
        if length.isdecimal() and size != int(length):
            raise _unavailable(f"{host} broke off", retry=True)
        return b"".join(chunks), None


@contextlib.contextmanager
def _closing(response: urllib3.BaseHTTPResponse, pool: urllib3.HTTPConnectionPool) -> Any:
    try:
        yield response
    finally:
        response.close()
        pool.close()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(character.isspace() for character in url) or not url.isascii():
        raise _refused("not a proper http or https URL")
    if parts.username is not None or parts.password is not None:
        raise _refused("URLs with a user name or a password are not taken")
    return parts


def _refused(reason: str) -> TaskError:
    return TaskError(ErrorCode.INPUT_REFUSED, f"input image: {reason}")


def _unavailable(reason: str, *, retry: bool) -> TaskError:
    return TaskError(ErrorCode.INPUT_UNAVAILABLE, f"input image: {reason}", retry=retry)
