"""Addresses, pictures, fetching and filling in images."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sd_agent.contract.errors import ErrorCode
from sd_agent.worker.addresses import is_public
from sd_agent.worker.errors import TaskError
from sd_agent.worker.fetch import HttpFetcher, resolve
from sd_agent.worker.inputs import InputFetcher, fill_images
from sd_agent.worker.pictures import decode_base64, sniff

PNG = b"\x89PNG\r\n\x1a\n....IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0rest"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.244.1.9",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:db8::1",
        "",
        "localhost",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "54.239.28.85", "2600:9000::1", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (PNG, "png"),
        (JPEG, "jpg"),
        (b"RIFF1234WEBPVP8 ", "webp"),
        (b"GIF89a...", "gif"),
        (b"BM" + b"\0" * 30, "bmp"),
        (PNG[:-2], None),
        (b"RIFF1234WAVE", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_pictures_are_told_by_content(data: bytes, extension: str | None) -> None:
    picture = sniff(data)
    assert (picture and picture.extension) == extension


def test_base64_and_data_uris() -> None:
    text = base64.b64encode(PNG).decode()
    assert decode_base64(text) == PNG
    assert decode_base64(f"data:image/png;base64,{text}") == PNG
    assert decode_base64("data:image/png,abc") is None
    assert decode_base64("data:;base64") is None
    assert decode_base64("no base64!") is None


def local(fake: Any, **settings: Any) -> HttpFetcher:
    return HttpFetcher(allow={f"127.0.0.1:{fake.port}"}, **settings)


def refused(fetcher: HttpFetcher, url: str, code: ErrorCode, *, retry: bool) -> str:
    with pytest.raises(TaskError) as caught:
        fetcher.fetch(url)
    assert (caught.value.code, caught.value.retry) == (code, retry)
    return caught.value.message


def test_a_fetch(http_fake: Any) -> None:
    http_fake.reply("GET /x.png", PNG)
    assert local(http_fake).fetch(f"{http_fake.url}/x.png?a=b") == PNG
    [call] = http_fake.calls
    assert call.path == "/x.png?a=b"
    assert call.headers["host"] == f"127.0.0.1:{http_fake.port}"
    assert call.headers["accept-encoding"] == "identity"


def test_the_connection_goes_to_the_address_that_was_checked(http_fake: Any) -> None:
    http_fake.reply("GET /x.png", PNG)
    asked: list[tuple[str, int]] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    fetcher = HttpFetcher(allow={f"images.example:{http_fake.port}"}, resolve=resolver)
    assert fetcher.fetch(f"http://images.example:{http_fake.port}/x.png") == PNG
    assert asked == [("images.example", http_fake.port)]
    assert http_fake.calls[0].headers["host"] == f"images.example:{http_fake.port}"


def test_private_addresses_are_refused_without_a_connection(http_fake: Any) -> None:
    fetcher = HttpFetcher(resolve=lambda host, port: ["8.8.8.8", "127.0.0.1"])
    message = refused(fetcher, f"{http_fake.url}/x", ErrorCode.INPUT_REFUSED, retry=False)
    assert "not a public address" in message
    assert http_fake.calls == []
    for url in ("http://[::1]/", "http://localhost/", "http://127.1/", "http://0/", "http://2130706433/"):
        refused(HttpFetcher(), url, ErrorCode.INPUT_REFUSED, retry=False)


def test_a_redirect_is_checked_like_the_first_address(http_fakes: Callable[[], Any]) -> None:
    first, second = http_fakes(), http_fakes()
    second.reply("GET /secret", PNG)
    first.reply("GET /go", b"", 302, {"location": f"{second.url}/secret"})
    refused(local(first), f"{first.url}/go", ErrorCode.INPUT_REFUSED, retry=False)
    assert second.calls == []
    both = HttpFetcher(allow={f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"})
    assert both.fetch(f"{first.url}/go") == PNG


def test_redirects_may_be_relative_but_not_endless(http_fake: Any) -> None:
    http_fake.reply("GET /a/b", b"", 301, {"location": "../c"})
    http_fake.reply("GET /c", PNG)
    http_fake.reply("GET /loop", b"", 307, {"location": "/loop"})
    assert local(http_fake).fetch(f"{http_fake.url}/a/b") == PNG
    assert "redirects" in refused(local(http_fake), f"{http_fake.url}/loop", ErrorCode.INPUT_REFUSED, retry=False)
    http_fake.reply("GET /file", b"", 302, {"location": "file:///etc/passwd"})
    refused(local(http_fake), f"{http_fake.url}/file", ErrorCode.INPUT_REFUSED, retry=False)


@pytest.mark.parametrize(
    ("status", "retry"), [(404, False), (403, False), (410, False), (500, True), (503, True), (429, True)]
)
def test_statuses(http_fake: Any, status: int, retry: bool) -> None:
    http_fake.reply("GET /x", b"", status)
    refused(local(http_fake), f"{http_fake.url}/x", ErrorCode.INPUT_UNAVAILABLE, retry=retry)


def test_sizes_are_bounded_with_and_without_a_length(http_fake: Any) -> None:
    http_fake.reply("GET /said", b"x" * 101)
    http_fake.reply("GET /cut", b"x" * 5, 200, {"content-length": "50", "connection": "close"})
    fetcher = local(http_fake, max_bytes=100)
    refused(fetcher, f"{http_fake.url}/said", ErrorCode.INPUT_REFUSED, retry=False)
    refused(fetcher, f"{http_fake.url}/cut", ErrorCode.INPUT_UNAVAILABLE, retry=True)
    chunked = b"64\r\n" + b"x" * 100 + b"\r\n64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n"
    http_fake.reply("GET /chunked", chunked, 200, {"transfer-encoding": "chunked"})
    refused(fetcher, f"{http_fake.url}/chunked", ErrorCode.INPUT_REFUSED, retry=False)


def test_time_is_bounded(http_fake: Any) -> None:
    release = threading.Event()

    def hang(_call: Any) -> tuple[int, dict[str, str], bytes]:
        release.wait(5)
        return 200, {}, PNG

    http_fake.reply("GET /slow", hang)
    try:
        refused(local(http_fake, max_seconds=0.2), f"{http_fake.url}/slow", ErrorCode.INPUT_UNAVAILABLE, retry=True)
    finally:
        release.set()


def test_nobody_there(http_fake: Any) -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise OSError("unknown host")

    refused(HttpFetcher(resolve=nobody), "http://images.example/x", ErrorCode.INPUT_UNAVAILABLE, retry=True)
    closed = HttpFetcher(allow={"127.0.0.1:9"})
    refused(closed, "http://127.0.0.1:9/x", ErrorCode.INPUT_UNAVAILABLE, retry=True)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/x",
        "http://",
        "http://h:0/x",
        "http://h:99999/x",
        "http://[::1/x",
        "http://u:p@h/x",
        "http://h/a b",
        "http://h/\u00e9",
        "http://h/x\r\nHost: evil",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    refused(HttpFetcher(), url, ErrorCode.INPUT_REFUSED, retry=False)


def test_resolving_gives_numbers() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]


class Bytes:
    """A Fetcher with one reply."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.urls: list[tuple[str, str]] = []

    def fetch(self, url: str, tenant: str) -> bytes:
        self.urls.append((url, tenant))
        return self.data


def test_images_are_filled_in_and_the_task_is_not_changed() -> None:
    fetcher = Bytes(JPEG)
    png = base64.b64encode(PNG).decode()
    content = {
        "prompt": "https://not.an/input",
        "init_images": ["https://a/x.jpeg", f"data:image/png;base64,{png}", png],
        "alwayson_scripts": {"controlnet": {"args": [{"image": "s3://b/k"}]}},
        "mask": "",
    }
    body = fill_images(content, fetcher, "acme")
    jpeg = base64.b64encode(JPEG).decode()
    assert body["init_images"] == [jpeg, png, png]
    assert body["alwayson_scripts"]["controlnet"]["args"][0]["image"] == jpeg
    assert body["prompt"] == "https://not.an/input"
    assert content["init_images"][0] == "https://a/x.jpeg"
    assert fetcher.urls == [("https://a/x.jpeg", "acme"), ("s3://b/k", "acme")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"init_images": ["bm90IGFuIGltYWdl"]}, ErrorCode.INVALID_REQUEST),
        ({"init_images": ["!"]}, ErrorCode.INVALID_REQUEST),
        ({"image": base64.b64encode(PNG[:-2]).decode()}, ErrorCode.INVALID_REQUEST),
        ({"script_args": ["http://169.254.169.254/"]}, ErrorCode.INPUT_REFUSED),
        ({"override_settings": {"x": "HTTPS://h"}}, ErrorCode.INPUT_REFUSED),
        ({"alwayson_scripts": {"other": {"args": [{"image": "https://h"}]}}}, ErrorCode.INPUT_REFUSED),
    ],
)
def test_what_never_reaches_the_webui(content: dict[str, Any], code: ErrorCode) -> None:
    with pytest.raises(TaskError) as caught:
        fill_images(content, Bytes(PNG), "default")
    assert (caught.value.code, caught.value.retry) == (code, False)


def test_a_page_instead_of_an_image() -> None:
    with pytest.raises(TaskError) as caught:
        fill_images({"image": "https://h/x"}, Bytes(b"<html>"), "default")
    assert caught.value.code is ErrorCode.INPUT_REFUSED


def test_s3_inputs_stay_within_the_tenant(memory: Any) -> None:
    storage = memory["storage"]("outputs")
    for key in ("acme/in/x.png", "uploads/x.png", "_requests/default/t/d.json", "other/x.png"):
        storage.put(key, PNG, "image/png")
    fetcher = InputFetcher(http=HttpFetcher(), storage=storage, buckets={"outputs"}, tenant_names={"acme", "other"})
    assert fetcher.fetch("s3://outputs/acme/in/x.png", "acme") == PNG
    assert fetcher.fetch("s3://outputs/uploads/x.png", "default") == PNG
    for url, tenant in [
        ("s3://outputs/other/x.png", "acme"),
        ("s3://outputs/uploads/x.png", "acme"),
        ("s3://outputs/acme/in/x.png", "default"),
        ("s3://outputs/_requests/default/t/d.json", "default"),
        ("s3://elsewhere/x.png", "default"),
        ("s3://outputs/", "default"),
        ("s3://outputs", "default"),
        ("file:///etc/passwd", "default"),
    ]:
        with pytest.raises(TaskError) as caught:
            fetcher.fetch(url, tenant)
        assert (caught.value.code, caught.value.retry) == (ErrorCode.INPUT_REFUSED, False)
    with pytest.raises(TaskError) as caught:
        fetcher.fetch("s3://outputs/acme/missing.png", "acme")
    assert (caught.value.code, caught.value.retry) == (ErrorCode.INPUT_UNAVAILABLE, False)
    storage.failing = {"get"}
    with pytest.raises(TaskError) as caught:
        fetcher.fetch("s3://outputs/acme/in/x.png", "acme")
    assert (caught.value.code, caught.value.retry) == (ErrorCode.INPUT_UNAVAILABLE, True)
