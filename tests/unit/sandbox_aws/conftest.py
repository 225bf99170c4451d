"""One embedded AWS for the whole session, in a process as the sandbox runs it, beside a made-up Kubernetes API."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config

from sandbox import processes
from sandbox.aws import control
from sandbox.kubernetes import pki
from sandbox.state import ACCOUNT, PORTS, REGION, State

# What the made-up Kubernetes API knows: the user behind a token.
TOKENS = {
    "agent-token": "system:serviceaccount:sd:agent",
    "lonely-token": "system:serviceaccount:sd:lonely",
    "distrusted-token": "system:serviceaccount:sd:distrusted",
    "human-token": "somebody",
}


class _TokenReviews(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = TOKENS.get(review["spec"]["token"])
        wanted = self.path.endswith("/tokenreviews") and review["spec"]["audiences"] == ["pods.eks.amazonaws.com"]
        known = user is not None and wanted
        status = {"authenticated": known, **({"user": {"username": user}} if known else {})}
        body = json.dumps({"status": status}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Keep quiet."""


def _free_ports(count: int) -> list[int]:
    holders = [socket.socket() for _ignored in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """The state of the running embedded AWS."""
    directory = tmp_path_factory.mktemp("sandbox")
    made = State(directory, ACCOUNT, REGION, 40, dict(zip(PORTS, _free_ports(len(PORTS)), strict=True)))
    made.save()
    pki.write(made)
    server = ThreadingHTTPServer(("127.0.0.1", made.ports["apiserver"]), _TokenReviews)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(made.pki / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(made.pki / "apiserver.crt", made.pki / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        processes.bring_up([control.process(made)], directory)
        yield made
    finally:
        processes.stop(directory, [])
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def aws(state: State) -> Callable[[str], Any]:
    """Makes a boto3 client of the account's root user: aws("ec2"); each error is final."""
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in clients:
            clients[service] = client_of(state, service)
        return clients[service]

    return client


def client_of(state: State, service: str, **credentials: str) -> Any:
    """A boto3 client with those credentials, the root user's if none are given."""
    root = {"aws_access_key_id": state.account, "aws_secret_access_key": "test"}
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={})
    keys = credentials or root
    return boto3.client(service, endpoint_url=state.aws_url, region_name=state.region, config=config, **keys)


@pytest.fixture(scope="session")
def connect(state: State) -> Callable[..., Any]:
    """Makes a boto3 client with other credentials."""
    return lambda service, **credentials: client_of(state, service, **credentials)


@pytest.fixture(scope="session")
def send(state: State) -> Callable[..., tuple[int, Any]]:
    """Sends a plain request to the gateway: (status, JSON or bytes)."""

    def request(
        path: str, body: object = None, *, headers: dict[str, str] | None = None, method: str | None = None
    ) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        wanted = urllib.request.Request(state.aws_url + path, data=data, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(wanted, timeout=10) as answer:
                return answer.status, _content(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error)

    return request


def _content(answer: Any) -> Any:
    body = answer.read()
    return json.loads(body) if "json" in (answer.headers.get("Content-Type") or "") else body


@pytest.fixture
def received(aws: Callable[[str], Any]) -> Callable[..., list[dict[str, Any]]]:
    """Takes every message that a queue holds; waits up to `wait_s` for the first."""

    def take(url: str, wait_s: int = 0) -> list[dict[str, Any]]:
        sqs, messages = aws("sqs"), []
        while True:
            batch = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=0 if messages else wait_s,
                MessageSystemAttributeNames=["All"],
            ).get("Messages", [])
            if not batch:
                return messages
            messages += batch
            for message in batch:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    return take


@pytest.fixture(scope="session")
def subnets(aws: Callable[[str], Any]) -> list[dict[str, Any]]:
    """The account's default subnets, in the order of their zones."""
    return sorted(aws("ec2").describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])
