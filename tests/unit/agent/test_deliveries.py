"""SNS's deliveries over HTTP, signed with certificates of our own making and checked by the real code."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from sd_agent.client import ClientError, Deliveries, ServiceUnavailable, Unverified
from sd_agent.client.signatures import string_to_sign

TOPIC = "arn:aws:sns:us-east-1:123456789012:sd-output"
HOST = "https://sns.us-east-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-1.pem"
ANSWER = {"id": "t-1", "answer_id": "a-1", "status": "completed"}
NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key: Any = KEY, days: int = 365) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def message(**changes: Any) -> dict[str, Any]:
    fields = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": json.dumps(ANSWER),
        "Timestamp": "2026-05-01T00:00:00.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": f"{HOST}/?Action=Unsubscribe",
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def signed(key: rsa.RSAPrivateKey = KEY, **changes: Any) -> bytes:
    fields = message(**changes)
    digest = hashes.SHA1() if fields["SignatureVersion"] == "1" else hashes.SHA256()
    signature = key.sign(string_to_sign(fields), padding.PKCS1v15(), digest)
    return json.dumps(fields | {"Signature": base64.b64encode(signature).decode()}).encode()


def confirmation(**changes: Any) -> bytes:
    fields = {
        "Type": "SubscriptionConfirmation",
        "Token": "2336",
        "SubscribeURL": f"{HOST}/?Action=ConfirmSubscription",
    }
    return signed(**{**fields, "Message": "You have chosen to subscribe", **changes})


class Web:
    """What is behind https URLs."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {CERTIFICATE_URL: certificate(), f"{HOST}/?Action=ConfirmSubscription": b"<ok/>"}
        self.asked: list[str] = []

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise ServiceUnavailable("down")
        return self.pages[url]


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def deliveries(web: Web) -> Deliveries:
    return Deliveries(TOPIC, fetch=web.fetch, now=lambda: NOW)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "An answer", ""])
def test_a_signed_answer(deliveries: Deliveries, version: str, subject: str | None) -> None:
    assert deliveries.answer(signed(SignatureVersion=version, Subject=subject)) == ANSWER


def test_the_strings_that_are_signed() -> None:
    """As the documentation gives them: names in alphabetical order, each line ended."""
    assert string_to_sign(message(Message="m", MessageId="i", Subject="s", Timestamp="t")) == (
        f"Message\nm\nMessageId\ni\nSubject\ns\nTimestamp\nt\nTopicArn\n{TOPIC}\nType\nNotification\n".encode()
    )
    for kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        fields = message(Type=kind, Message="m", MessageId="i", Timestamp="t", Token="k", SubscribeURL="u")
        assert string_to_sign(fields) == (
            f"Message\nm\nMessageId\ni\nSubscribeURL\nu\nTimestamp\nt\nToken\nk\nTopicArn\n{TOPIC}\nType\n{kind}\n".encode()
        )


def test_a_certificate_is_fetched_once(deliveries: Deliveries, web: Web) -> None:
    for number in range(3):
        assert deliveries.answer(signed(MessageId=str(number))) == ANSWER
    assert web.asked == [CERTIFICATE_URL]


def test_a_certificate_that_ended_is_fetched_again(web: Web) -> None:
    now = [NOW]
    deliveries = Deliveries(TOPIC, fetch=web.fetch, now=lambda: now[0])
    web.pages[CERTIFICATE_URL] = certificate(days=10)
    assert deliveries.answer(signed()) == ANSWER
    now[0] += timedelta(days=20)
    with pytest.raises(Unverified, match="not valid now"):
        deliveries.answer(signed())
    web.pages[CERTIFICATE_URL] = certificate(days=100)
    assert deliveries.answer(signed()) == ANSWER
    assert len(web.asked) == 3


def test_copies_are_dropped_once_the_answer_is_dealt_with(deliveries: Deliveries) -> None:
    assert deliveries.answer(signed()) == ANSWER
    assert deliveries.answer(signed()) == ANSWER
    deliveries.acknowledge(ANSWER)
    assert deliveries.answer(signed(MessageId="another")) is None
    other = {**ANSWER, "answer_id": "a-2"}
    assert deliveries.answer(signed(Message=json.dumps(other))) == other


def test_every_dialect_is_an_answer(deliveries: Deliveries) -> None:
    for answer in ({"inferenceId": "t-1"}, {"parameters": {"id_task": "t-1"}}):
        assert deliveries.answer(signed(Message=json.dumps(answer))) == answer
        deliveries.acknowledge(answer)
    assert deliveries.answer(signed(Message="no answer")) is None


def test_a_subscription_is_confirmed(deliveries: Deliveries, web: Web) -> None:
    assert deliveries.answer(confirmation()) is None
    assert web.asked == [CERTIFICATE_URL, f"{HOST}/?Action=ConfirmSubscription"]


def test_the_end_of_a_subscription_is_not_taken_back(
    deliveries: Deliveries, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    assert deliveries.answer(confirmation(Type="UnsubscribeConfirmation")) is None
    assert web.asked == [CERTIFICATE_URL]
    assert "unsubscribed" in caplog.text


@pytest.mark.parametrize("url", ["http://sns.us-east-1.amazonaws.com/?x", "https://169.254.169.254/", "https://[", ""])
def test_a_confirmation_leads_nowhere_else(deliveries: Deliveries, web: Web, url: str) -> None:
    with pytest.raises(Unverified, match="URL to confirm with"):
        deliveries.answer(confirmation(SubscribeURL=url))
    assert web.asked == [CERTIFICATE_URL]


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/a.pem",
        "https://user@sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com.cn/a.pem",
        "https://s3.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem?b",
        "https://sns.us-east-1.amazonaws.com/?Action=a",
        "https://[",
        "",
        7,
    ],
)
def test_a_certificate_comes_from_sns_in_the_topics_region_only(deliveries: Deliveries, web: Web, url: Any) -> None:
    with pytest.raises(Unverified, match="certificate's URL"):
        deliveries.answer(signed(SigningCertURL=url))
    assert web.asked == []


def test_china_has_hosts_of_its_own(web: Web) -> None:
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:sd-output"
    url = "https://sns.cn-north-1.amazonaws.com.cn/a.pem"
    web.pages[url] = certificate()
    deliveries = Deliveries(topic, fetch=web.fetch, now=lambda: NOW)
    assert deliveries.answer(signed(TopicArn=topic, SigningCertURL=url)) == ANSWER
    with pytest.raises(Unverified):
        deliveries.answer(signed(TopicArn=topic, SigningCertURL=url.removesuffix("cn/a.pem") + "/a.pem"))


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(signed()) | changes).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda: signed(TopicArn=TOPIC + "2"), "another topic"),
        (lambda: changed(Message="forged"), "signature is wrong"),
        (lambda: changed(Subject="added"), "signature is wrong"),
        (lambda: changed(SignatureVersion="1"), "signature is wrong"),
        (lambda: changed(SignatureVersion="3"), "neither 1 nor 2"),
        (lambda: changed(Signature="FAKE!"), "not base64"),
        (lambda: changed(Signature="FAKE"), "signature is wrong"),
        (lambda: changed(Signature=None), "signature is wrong"),
        (lambda: changed(Type="Invoice"), "no type"),
        (lambda: changed(Type=["Notification"]), "no type"),
        (lambda: changed(Timestamp=None), "no Timestamp"),
        (lambda: changed(Message="\ud800"), "surrogate"),
        (lambda: signed(rsa.generate_private_key(public_exponent=65537, key_size=2048)), "signature is wrong"),
        (lambda: b"[]", "not a JSON object"),
        (lambda: b"\xff", "not a JSON object"),
        (lambda: b"[" * 100_000, "not a JSON object"),
    ],
)
def test_what_sns_did_not_send(deliveries: Deliveries, body: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(Unverified, match=reason):
        deliveries.answer(body())


def test_what_is_no_certificate(deliveries: Deliveries, web: Web) -> None:
    web.pages[CERTIFICATE_URL] = b"<html>"
    with pytest.raises(Unverified, match="no certificate"):
        deliveries.answer(signed())
    web.pages[CERTIFICATE_URL] = certificate(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(Unverified, match="not RSA"):
        deliveries.answer(signed())
    del web.pages[CERTIFICATE_URL]
    with pytest.raises(ServiceUnavailable):
        Deliveries(TOPIC, fetch=web.fetch, now=lambda: NOW).answer(signed())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ClientError, match=r"pip install 'sd-agent\[deliveries\]'"):
        Deliveries(TOPIC)


@pytest.mark.parametrize("arn", ["sd-output", "arn:aws:sqs:us-east-1:123456789012:q", "arn:aws-x:sns:a:123456789012:b"])
def test_what_is_no_topic(arn: str) -> None:
    with pytest.raises(ClientError, match="is not the ARN of an SNS topic"):
        Deliveries(arn)


def test_the_ordinary_request(http_fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over plain HTTP here; the certificate's host and TLS are urllib3's own business."""
    real = urllib3.PoolManager.request

    def redirected(pool: Any, method: str, url: str, **options: Any) -> Any:
        return real(pool, method, url.replace(HOST, http_fake.url), **options)

    monkeypatch.setattr(urllib3.PoolManager, "request", redirected)
    path = "GET /SimpleNotificationService-1.pem"
    http_fake.reply(path, certificate())
    assert Deliveries(TOPIC, now=lambda: NOW).answer(signed()) == ANSWER
    http_fake.reply(path, b"", 302, {"location": f"{http_fake.url}/elsewhere"})
    with pytest.raises(ServiceUnavailable, match="302"):
        Deliveries(TOPIC, now=lambda: NOW).answer(signed())
    monkeypatch.setattr(http_fake, "port", 9)
    with pytest.raises(ServiceUnavailable, match="could not be asked"):
        Deliveries(TOPIC, now=lambda: NOW).answer(signed())
