from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from sandbox.kubernetes import control_plane, pki
from sandbox.processes import Process, healthy
from sandbox.state import State


@pytest.fixture
def found(state: State) -> dict[str, Process]:
    return {process.name: process for process in control_plane.processes(state)}


def flags(process: Process) -> dict[str, str]:
    pairs = (argument.removeprefix("--").partition("=") for argument in process.argv[1:])
    return {name: value for name, _ignored, value in pairs}


def test_the_order_of_the_start(found: dict[str, Process]) -> None:
    assert {name: process.after for name, process in found.items()} == {
        "etcd": (),
        "kube-apiserver": ("etcd",),
        "kube-controller-manager": ("kube-apiserver",),
        "kube-scheduler": ("kube-apiserver",),
    }


def test_every_process_is_a_program_of_the_sandbox_with_a_log_and_a_port(
    state: State, found: dict[str, Process]
) -> None:
    for name, process in found.items():
        assert process.argv[0] == str(state.bin / name)
        assert process.log == state.logs / f"{name}.log"
    assert len({process.port for process in found.values()}) == 4


def test_nothing_listens_beyond_this_machine(state: State, found: dict[str, Process]) -> None:
    for process in list(found.values())[1:]:
        assert flags(process)["bind-address"] == "127.0.0.1"
        assert flags(process)["secure-port"] == str(process.port)
    urls = [value for name, value in flags(found["etcd"]).items() if name.endswith("-urls")]
    assert all(url.startswith("http://127.0.0.1:") for url in urls)


def test_the_api_server(state: State, found: dict[str, Process]) -> None:
    given = flags(found["kube-apiserver"])
    assert given["etcd-servers"] == f"http://127.0.0.1:{state.ports['etcd']}"
    assert given["service-cluster-ip-range"] == "10.77.0.0/16"
    assert given["enable-aggregator-routing"] == "false"
    assert given["endpoint-reconciler-type"] == "none"
    assert given["authorization-mode"] == "Node,RBAC"
    assert given["authentication-token-webhook-version"] == "v1"


def test_every_file_that_is_named_is_written(state: State, found: dict[str, Process]) -> None:
    pki.write(state)
    control_plane.configure(state)
    directories = {"data-dir", "flex-volume-plugin-dir"}
    for process in found.values():
        for name, value in flags(process).items():
            if value.startswith("/") and name not in directories:
                assert Path(value).is_file(), f"{process.name} --{name}={value}"


def test_tokens_are_reviewed_by_the_embedded_aws(state: State, found: dict[str, Process]) -> None:
    pki.write(state)
    control_plane.configure(state)
    config = yaml.safe_load(
        Path(flags(found["kube-apiserver"])["authentication-token-webhook-config-file"]).read_text()
    )
    assert config["clusters"][0]["cluster"]["server"] == f"{state.aws_url}/_sandbox/token-review"
    assert config["contexts"][0]["name"] == config["current-context"]


def test_pods_are_reached_through_the_kubelets_socket(state: State, found: dict[str, Process]) -> None:
    pki.write(state)
    control_plane.configure(state)
    config = yaml.safe_load(Path(flags(found["kube-apiserver"])["egress-selector-config-file"]).read_text())
    (selection,) = config["egressSelections"]
    assert selection["connection"]["proxyProtocol"] == "HTTPConnect"
    assert selection["connection"]["transport"]["uds"]["udsName"] == str(state.connect_socket)


def test_the_autoscaler_looks_as_often_as_was_asked_and_scales_down_as_kubernetes_does(
    state: State, found: dict[str, Process]
) -> None:
    given = flags(found["kube-controller-manager"])
    assert given["horizontal-pod-autoscaler-sync-period"] == "7s"
    assert "horizontal-pod-autoscaler-downscale-stabilization" not in given
    usual = {process.name: process for process in control_plane.processes(dataclasses.replace(state, hpa_sync="15s"))}
    assert flags(usual["kube-controller-manager"])["horizontal-pod-autoscaler-sync-period"] == "15s"


def test_a_process_that_was_never_started_is_not_healthy(found: dict[str, Process]) -> None:
    assert not any(healthy(process) for process in found.values())
