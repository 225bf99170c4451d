"""`aws eks get-token` tokens: a pre-signed STS GetCallerIdentity URL, verified as aws-iam-authenticator would.

https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ministack.core import iam_evaluator, sigv4

__all__ = ["TokenError", "caller_arn"]

_PREFIX = "k8s-aws-v1."
_HEADER = "x-k8s-aws-id"
_LIFE = timedelta(minutes=15)
_SKEW = timedelta(minutes=5)
_STS_HOST = re.compile(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")
_EMPTY = hashlib.sha256(b"").hexdigest()


class TokenError(Exception):
    """The token proves nobody."""


def caller_arn(
    token: str, cluster: str, *, account: str, endpoint: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> str:
    """ARN of who signed the token for that cluster.

    Args:
        endpoint: URL of the embedded AWS; a token may be signed for it or for STS's own host names.

    Raises:
        TokenError: malformed, for another cluster, expired, or not signed with a key that IAM or STS gave out.
    """
    url, query = _decoded(token)
    host = url.netloc
    if host != urlsplit(endpoint).netloc and not _STS_HOST.fullmatch(url.hostname or ""):
        raise TokenError(f"signed for {host}, which is no STS endpoint")
    if query.get("Action") != "GetCallerIdentity":
        raise TokenError("not a GetCallerIdentity request")
    signed = query.get("X-Amz-SignedHeaders", "").split(";")
    if "host" not in signed or _HEADER not in signed:
        raise TokenError(f"{_HEADER} is not signed")
    _check_age(query.get("X-Amz-Date", ""), now())
    key, date, region, service, _ignored = _scope(query.get("X-Amz-Credential", ""))
    if service != "sts":
        raise TokenError(f"signed for the service {service}")
    credential: Any = iam_evaluator.resolve_credential(key, account, query.get("X-Amz-Security-Token") or None)
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        raise TokenError("signed with unknown credentials")
    canonical = sigv4.build_canonical_request(
        "GET",
        url.path or "/",
        {"host": host, _HEADER: cluster},
        {name: [value] for name, value in query.items()},
        ";".join(signed),
        payload_hash=_EMPTY,
    )
    text = sigv4.build_string_to_sign(query["X-Amz-Date"], date, region, service, canonical)
    expected = sigv4.calculate_signature(credential.secret_access_key, date, region, service, text)
    if not sigv4.signatures_match(expected, query.get("X-Amz-Signature", "")):
        raise TokenError("the signature does not match")
    return str(credential.principal_arn)


def _decoded(token: str) -> tuple[Any, dict[str, str]]:
    if not token.startswith(_PREFIX):
        raise TokenError(f"it does not begin with {_PREFIX}")
    encoded = token.removeprefix(_PREFIX)
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        url = urlsplit(text)
        query = parse_qs(url.query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise TokenError(f"it holds no URL: {error}") from None
    if any(len(values) != 1 for values in query.values()):
        raise TokenError("it repeats a parameter")
    return url, {name: values[0] for name, values in query.items()}


def _scope(credential: str) -> list[str]:
    parts = credential.split("/")
    if len(parts) != 5:
        raise TokenError("its credential scope is malformed")
    return parts


def _check_age(signed_at: str, now: datetime) -> None:
    try:
        signed = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise TokenError("its date is malformed") from None
    if not now - _LIFE <= signed <= now + _SKEW:
        raise TokenError("it has expired")
