"""A container's environment: envFrom, env, $(NAME), the downward API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.environment import Sources, expand, variables
from sandbox.kubernetes.kubelet.facts import Facts

METADATA = {
    "namespace": "ns",
    "name": "pod",
    "uid": "u1",
    "labels": {"b": "2", "a": 'say "é"'},
    "annotations": {"note": "n 1"},
}
CONTAINER: dict[str, Any] = {
    "name": "main",
    "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi", "nvidia.com/gpu": "1"}},
}
SPEC = {"nodeName": "node", "serviceAccountName": "sa", "containers": [CONTAINER], "initContainers": [{"name": "init"}]}
FACTS = Facts({"metadata": METADATA}, SPEC, "10.64.0.7", "10.66.0.1", {"cpu": "1930m", "memory": "3Gi"})


def encoded(**values: bytes) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in values.items()}


def sources() -> Sources:
    maps = {"m": {"data": {"A": "aa", "B": "b b"}}}
    secrets = {"s": {"data": encoded(k=b"quiet", raw=b"\xff")}}
    return Sources(FACTS, maps.get, secrets.get)


def resolved(*env: dict[str, Any], env_from: list[dict[str, Any]] | None = None) -> dict[str, str]:
    return variables({**CONTAINER, "env": list(env), "envFrom": env_from or []}, sources())


def from_(name: str, **origin: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": origin}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "a"),
        ("x$(A)-$(B)y", "xa-by"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$$$$(A)", "$$(A)"),
        ("$(NONE)", "$(NONE)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("$()", "$()"),
        ("$(A)$(A)", "aa"),
        ("$(a b)", "$(a b)"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, {"A": "a", "B": "b"}.get) == expanded


def test_value_refers_to_earlier_ones_only() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)"}, {"name": "C", "value": "3"}]
    assert resolved(*env) == {"A": "1", "B": "1$(C)", "C": "3"}


def test_empty_value_is_a_value() -> None:
    assert resolved({"name": "A"}, {"name": "B", "value": ""}) == {"A": "", "B": ""}


def test_env_wins_over_env_from_and_may_refer_to_it() -> None:
    env_from = [{"configMapRef": {"name": "m"}, "prefix": "P_"}, {"secretRef": {"name": "s"}}]
    found = resolved({"name": "P_B", "value": "own $(P_A)"}, env_from=env_from)
    assert found == {"P_A": "aa", "P_B": "own aa", "k": "quiet", "raw": "�"}


def test_optional_sources_may_be_missing() -> None:
    missing = [{"configMapRef": {"name": "x", "optional": True}}, {"secretRef": {"name": "x", "optional": True}}]
    env = [
        from_("A", configMapKeyRef={"name": "m", "key": "none", "optional": True}),
        from_("B", secretKeyRef={"name": "none", "key": "k", "optional": True}),
        from_("C", secretKeyRef={"name": "s", "key": "k"}),
    ]
    assert resolved(*env, env_from=missing) == {"C": "quiet"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (from_("A", configMapKeyRef={"name": "x", "key": "k"}), 'configmap "x" not found'),
        (from_("A", secretKeyRef={"name": "x", "key": "k"}), 'secret "x" not found'),
        (from_("A", configMapKeyRef={"name": "m", "key": "x"}), "couldn't find key x in ConfigMap ns/m"),
        (from_("A", secretKeyRef={"name": "s", "key": "x"}), "couldn't find key x in Secret ns/s"),
        (from_("A", fieldRef={"fieldPath": "status.phase"}), "unsupported fieldPath: status.phase"),
        (from_("A", fileKeyRef={"key": "k"}), "unsupported valueFrom: fileKeyRef"),
        (from_("A", resourceFieldRef={"resource": "limits.cpu", "containerName": "x"}), "container x not found"),
    ],
)
def test_what_is_missing_is_told_as_kubelet_tells_it(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(Blocked) as caught:
        resolved(entry)
    assert caught.value.message == message
    assert caught.value.reason == "CreateContainerConfigError"
    assert caught.value.told == f"Error: {message}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "pod"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u1"),
        ("metadata.labels['b']", "2"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['note']", "n 1"),
        ("metadata.labels", 'a="say \\"é\\""\nb="2"'),
        ("spec.nodeName", "node"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "127.64.0.7"),
        ("status.hostIP", "127.66.0.1"),
    ],
)
def test_field(path: str, value: str) -> None:
    assert resolved(from_("A", fieldRef={"fieldPath": path})) == {"A": value}


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
        ({"resource": "requests.cpu"}, "1"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "limits.memory", "divisor": "0"}, str(64 * 2**20)),
        ({"resource": "limits.nvidia.com/gpu"}, "1"),
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "requests.memory", "containerName": "init"}, "0"),
        ({"resource": "limits.memory", "divisor": "1Gi", "containerName": "init"}, "3"),
    ],
)
def test_resource_falls_back_to_limit_and_node(ref: dict[str, str], value: str) -> None:
    assert resolved(from_("A", resourceFieldRef=ref)) == {"A": value}
