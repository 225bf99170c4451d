"""Nothing that the sandbox starts can be reached from another machine."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import pytest

from sandbox import processes
from sandbox.state import State
from sd_agent.client import Client
from support.listeners import Listener, listeners

pytestmark = pytest.mark.sandbox

# Processes and containers (Karpenter's is `controller`) that must have a server, or the test looks at nothing.
SERVERS = {
    "aws",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "controller",
    "keda-operator",
    "keda-operator-metrics-apiserver",
    "webui",
}


def test_every_kind_of_listener_is_seen() -> None:
    kinds = [
        ("tcp", socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
        ("udp", socket.AF_INET, socket.SOCK_DGRAM, "127.9.8.7"),
        ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, "::1"),
        ("udp6", socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
    ]
    with ExitStack() as stack:
        opened = set()
        for table, family, kind, address in kinds:
            one = stack.enter_context(socket.socket(family, kind))
            try:
                one.bind((address, 0))
            except OSError:
                continue  # a machine without IPv6
            if kind == socket.SOCK_STREAM:
                one.listen()
            opened.add(Listener(table, address, one.getsockname()[1]))
        assert len(opened) >= 2
        assert opened <= listeners(os.getpid())


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.64.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_is_loopback(address: str, loopback: bool) -> None:
    assert Listener("tcp", address, 1).is_loopback is loopback


def test_everything_listens_on_loopback_only(sandbox: State, client: Client, task_id: str) -> None:
    # So that there is a runtime's pod too, which stays for its cooldown.
    extension = {"task": "text-to-image", "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors", "id_task": task_id}
    client.submit({"alwayson_scripts": extension, "prompt": "A door", "steps": 1, "width": 64, "height": 64})
    assert client.wait([task_id], 120)[task_id]["status"] == "completed"
    found = {(one.pid, one.name or ""): listeners(one.pid) for one in processes.find(sandbox.directory)}
    assert {name.split("/")[-1] for (_pid, name), sockets in found.items() if sockets} >= SERVERS
    outside = {owner: sorted(one for one in sockets if not one.is_loopback) for owner, sockets in found.items()}
    assert {owner: sockets for owner, sockets in outside.items() if sockets} == {}
