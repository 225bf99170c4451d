"""Mount paths and in-cluster names in what a container is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.kubernetes.kubelet.mounts import Mounts
from sandbox.kubernetes.kubelet.names import rewrite, served_port

MOUNTS = Mounts({"/certs": Path("/v/c"), "/certs/extra/": Path("/v/x"), "/one.txt": Path("/v/m/one.txt")})
SERVICES = {("keda", "keda-operator"): "10.65.0.9", ("default", "kubernetes"): "10.65.0.1"}


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("/certs", "/v/c"),
        ("/certs/tls.crt", "/v/c/tls.crt"),
        ("/certs/extra/a", "/v/x/a"),
        ("--cert-dir=/certs", "--cert-dir=/v/c"),
        ("--files=/certs/a,/one.txt", "--files=/v/c/a,/v/m/one.txt"),
        ("cat /certs/a > /one.txt; ls '/certs'", "cat /v/c/a > /v/m/one.txt; ls '/v/c'"),
        ('{"path": "/certs/a"}', '{"path": "/v/c/a"}'),
        ("/bin:/certs/bin", "/bin:/v/c/bin"),
        ("/certs-old", "/certs-old"),
        ("/etc/certs", "/etc/certs"),
        ("http://host/certs", "http://host/certs"),
        ("http://host:80/certs", "http://host:80/certs"),
        ("s3://bucket/certs", "s3://bucket/certs"),
        ("certs", "certs"),
    ],
)
def test_mount_paths_move(text: str, moved: str) -> None:
    assert MOUNTS.move(text) == moved


def test_without_mounts_nothing_moves() -> None:
    assert Mounts({}).move("/certs") == "/certs"
    assert Mounts({}).get("/certs") is None
    assert MOUNTS.get("/certs/extra") == Path("/v/x")


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("keda-operator.keda.svc", "127.65.0.9"),
        ("keda-operator.keda.svc.cluster.local:9666", "127.65.0.9:9666"),
        ("--address=keda-operator.keda.svc.cluster.local:9666", "--address=127.65.0.9:9666"),
        ("http://keda-operator.keda.svc/path", "http://127.65.0.9:20080/path"),
        ("https://keda-operator.keda.svc", "https://127.65.0.9:20443"),
        ("https://kubernetes.default.svc:443/api", "https://127.65.0.1:20443/api"),
        ("http://keda-operator.keda.svc:8080", "http://127.65.0.9:8080"),
        ("keda-operator.keda.svc,kubernetes.default.svc", "127.65.0.9,127.65.0.1"),
        ("see keda-operator.keda.svc.", "see 127.65.0.9."),
        ("unknown.keda.svc:80", "unknown.keda.svc:80"),
        ("keda-operator.keda.svc.example.com", "keda-operator.keda.svc.example.com"),
        ("pod-0.keda-operator.keda.svc", "pod-0.keda-operator.keda.svc"),
        ("keda-operator.keda.svcs", "keda-operator.keda.svcs"),
        ("keda-operator.keda", "keda-operator.keda"),
    ],
)
def test_names_become_addresses(text: str, rewritten: str) -> None:
    assert rewrite(text, lambda namespace, name: SERVICES.get((namespace, name))) == rewritten


def test_low_ports_are_served_higher() -> None:
    assert (served_port(443), served_port(1024), served_port(9666)) == (20443, 1024, 9666)
