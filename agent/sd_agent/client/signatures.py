"""The signature of what SNS sends to HTTP(S) endpoints.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from sd_agent.client.errors import ClientError, Unverified

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["Signatures", "sns_url", "string_to_sign"]

# In the order in which they are signed; Subject only where there is one.
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_TOPIC = re.compile(r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z0-9-]+):\d{12}:[\w-]{1,256}")
_SUFFIXES = {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}
# SNS changes its certificate about once a year.
_CACHED = 8


class Signatures:
    """Checks messages of one topic; certificates are fetched once and kept until they end.

    topic_arn: the only topic whose messages are taken. fetch: the bytes behind an https URL. now: the time, in UTC.
    Raises ClientError for a topic_arn that is none, or without the package cryptography.
    """

    def __init__(
        self, topic_arn: str, fetch: Callable[[str], bytes], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        try:
            import cryptography  # noqa: F401
        except ImportError:
            raise ClientError("checking signatures needs cryptography: pip install 'sd-agent[deliveries]'") from None
        topic = _TOPIC.fullmatch(topic_arn)
        if topic is None or topic["partition"] not in _SUFFIXES:
            raise ClientError(f"{topic_arn} is not the ARN of an SNS topic")
        self._topic_arn = topic_arn
        self._host = f"sns.{topic['region']}.{_SUFFIXES[topic['partition']]}"
        self._fetch = fetch
        self._now = now
        self._lock = threading.Lock()
        self._certificates: OrderedDict[str, Certificate] = OrderedDict()

    @property
    def host(self) -> str:
        """SNS in the topic's region."""
        return self._host

    def check(self, message: Mapping[str, Any]) -> None:
        """Return if SNS signed this message for our topic. Raises Unverified, or ServiceUnavailable from fetch."""
        if message.get("TopicArn") != self._topic_arn:
            raise Unverified("the message is of another topic")
        signed = string_to_sign(message)
        signature = _signature(message)
        url = message.get("SigningCertURL")
        if not isinstance(url, str) or not _is_certificate(sns_url(url, self._host)):
            raise Unverified(f"the certificate's URL is not of {self._host}")
        _verify(self._certificate(url), signature, signed, version=message.get("SignatureVersion"))

    def _certificate(self, url: str) -> Certificate:
        with self._lock:
            known = self._certificates.get(url)
        if known is not None and known.not_valid_after_utc > self._now():
            return known
        certificate = _loaded(self._fetch(url))
        if not certificate.not_valid_before_utc <= self._now() < certificate.not_valid_after_utc:
            raise Unverified("the certificate is not valid now")
        with self._lock:
            self._certificates[url] = certificate
            while len(self._certificates) > _CACHED:
                self._certificates.popitem(last=False)
        return certificate


def string_to_sign(message: Mapping[str, Any]) -> bytes:
    """What SNS signs of a message: names and values, a line each. Raises Unverified where a field is missing."""
    kind = message.get("Type")
    if not isinstance(kind, str) or kind not in _SIGNED:
        raise Unverified("the message has no type that SNS sends")
    lines = []
    for name in _SIGNED[kind]:
        value = message.get(name)
        if name == "Subject" and value is None:
            continue
        if not isinstance(value, str):
            raise Unverified(f"the message has no {name}")
        lines.append(f"{name}\n{value}\n")
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError:
        raise Unverified("the message holds half of a surrogate pair") from None


def sns_url(url: str, host: str) -> SplitResult | None:
    """The parts of an https URL of exactly this host, without user, password or port; None for any other."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts if (parts.scheme, parts.netloc) == ("https", host) else None


def _is_certificate(parts: SplitResult | None) -> bool:
    return parts is not None and parts.path.endswith(".pem") and not (parts.query or parts.fragment)


def _signature(message: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(message.get("Signature") or ""), validate=True)
    except binascii.Error:
        raise Unverified("the signature is not base64") from None


def _loaded(data: bytes) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(data)
    except ValueError:
        raise Unverified("there is no certificate behind its URL") from None


def _verify(certificate: Certificate, signature: bytes, signed: bytes, *, version: Any) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    if version not in ("1", "2"):
        raise Unverified("the signature's version is neither 1 nor 2")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Unverified("the certificate's key is not RSA")
    try:
        # SHA-1 is what version 1 means: a topic that is not set to version 2 has nothing better.
        key.verify(signature, signed, PKCS1v15(), SHA256() if version == "2" else SHA1())
    except InvalidSignature:
        raise Unverified("the signature is wrong") from None
