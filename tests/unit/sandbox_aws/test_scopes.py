"""Routing by the credential scope of the signature, without any server."""

from __future__ import annotations

import pytest

from sandbox.aws.asgi import Receive, Response, Scope, Send, call, read_body, reply, request
from sandbox.aws.gateway import Gateway
from sandbox.aws.scopes import execute_api_path, service_of

SIGNED = "AWS4-HMAC-SHA256 Credential=123456789012/20261123/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


def signed(service: str, path: str = "/") -> Scope:
    return request("POST", path, {"authorization": SIGNED.format(service)})


def test_service_is_read_from_the_header() -> None:
    assert service_of(signed("ec2")) == "ec2"


def test_service_is_read_from_a_presigned_url() -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261123%2Fus-east-1%2Fsts%2Faws4_request"
    assert service_of(request("GET", "/", {}, query)) == "sts"


@pytest.mark.parametrize("authorization", ["", "Bearer x", "AWS4-HMAC-SHA256 Credential=broken"])
def test_unsigned_requests_have_no_service(authorization: str) -> None:
    assert service_of(request("GET", "/", {"authorization": authorization})) == ""


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("ab12.execute-api.us-east-1.amazonaws.com", "/_aws/execute-api/ab12/prod/v1"),
        ("ab12.execute-api.us-east-1.amazonaws.com:20000", "/_aws/execute-api/ab12/prod/v1"),
        ("ab12.execute-api.cn-north-1.amazonaws.com.cn", "/_aws/execute-api/ab12/prod/v1"),
        ("127.0.0.1:20000", None),
        ("bucket.s3.amazonaws.com", None),
    ],
)
def test_execute_api_hosts(host: str, path: str | None) -> None:
    assert execute_api_path(request("POST", "/prod/v1", {"host": host})) == path


class Backend:
    """Answers with its name and what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        await reply(send, Response(200, b" ".join([self.name.encode(), scope["path"].encode(), body])))


async def _own(scope: Scope, body: bytes) -> Response:
    return Response(200, b"own " + scope["path"].encode())


@pytest.mark.parametrize(
    ("scope", "answer"),
    [
        (signed("ec2"), b"moto / x"),
        (signed("application-autoscaling"), b"moto / x"),
        (signed("sqs"), b"ministack / x"),
        (signed("iam"), b"ministack / x"),
        (request("GET", "/bucket/key", {}), b"ministack /bucket/key x"),
        (signed("ec2", "/_sandbox/health"), b"own /_sandbox/health"),
        (request("GET", "/_sandbox/input/a.jpeg", {}), b"own /_sandbox/input/a.jpeg"),
        (request("GET", "/_sandbox/healthy", {}), b"ministack /_sandbox/healthy x"),
        (
            request("POST", "/prod/a b", {"host": "ab.execute-api.us-east-1.amazonaws.com"}),
            b"ministack /_aws/execute-api/ab/prod/a b x",
        ),
    ],
)
async def test_gateway_routes(scope: Scope, answer: bytes) -> None:
    seen: list[tuple[bytes, int]] = []

    async def observe(_scope: Scope, body: bytes, response: Response) -> None:
        seen.append((body, response.status))

    gateway = Gateway(
        ministack=Backend("ministack"),
        moto=Backend("moto"),
        routes={"/_sandbox/health": _own, "/_sandbox/input/": _own},
        observers={"iam": observe},
    )
    assert (await call(gateway, scope, b"x")).body == answer
    assert seen == ([(b"x", 200)] if service_of(scope) == "iam" else [])
