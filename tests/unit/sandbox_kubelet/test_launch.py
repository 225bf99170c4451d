"""From a container's spec and its image to what is started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes.kubelet import images
from sandbox.kubernetes.kubelet.identity import inject
from sandbox.kubernetes.kubelet.images import THIRD_PARTY, Image
from sandbox.kubernetes.kubelet.launch import Launch, Place, plan
from sandbox.kubernetes.kubelet.mounts import Mounts
from sandbox.kubernetes.kubelet.references import references

HOME = Path("/pods/u1/main")
PROGRAM = Image(
    entrypoint=("$(BIN)/program", "--ip=$(POD_IP)"),
    own=(("/program",),),
    arguments=("--last",),
    environment={"NS": "$(POD_NAMESPACE)", "SEEN": "$(METRICS_PORT)"},
)


def launched(
    container: dict[str, Any], image: Image = PROGRAM, mounts: dict[str, str] | None = None, **variables: str
) -> Launch:
    place = Place(
        directory=HOME,
        words={"BIN": "/bin-dir", "POD_IP": "127.64.0.1", "POD_NAMESPACE": "ns", "KUBECONFIG": "/k"},
        base={"PATH": "/bin", "AWS_REGION": "us-east-1"},
        mounts=Mounts({path: Path(place) for path, place in (mounts or {}).items()}),
        names=lambda text: text.replace("svc.ns.svc", "127.65.0.1"),
    )
    return plan({"name": "main", **container}, image, variables, place)


@pytest.mark.parametrize(
    ("container", "argv"),
    [
        ({}, ["/bin-dir/program", "--ip=127.64.0.1", "--last"]),
        ({"args": ["a", "$(X)"]}, ["/bin-dir/program", "--ip=127.64.0.1", "a", "x", "--last"]),
        (
            {"command": ["/program", "b"], "args": ["a"]},
            ["/bin-dir/program", "--ip=127.64.0.1", "b", "a", "--last"],
        ),
        ({"command": ["sh", "-c", "echo $(X) $$(X)"]}, ["sh", "-c", "echo x $(X)"]),
        ({"command": ["python3", "-V"]}, [sys.executable, "-V"]),
    ],
)
def test_arguments(container: dict[str, Any], argv: list[str]) -> None:
    assert launched(container, X="x").argv == argv


def test_environment_is_base_then_spec_then_table() -> None:
    env = launched({}, AWS_REGION="eu-west-1", METRICS_PORT="8080", URL="http://svc.ns.svc/").env
    assert env == {
        "HOME": str(HOME),
        "TMPDIR": str(HOME / "tmp"),
        "PATH": "/bin",
        "AWS_REGION": "eu-west-1",
        "METRICS_PORT": "8080",
        "URL": "http://127.65.0.1/",
        "NS": "ns",
        "SEEN": "8080",
    }


def test_specs_value_wins_over_the_tables() -> None:
    assert launched({}, NS="own").env["NS"] == "own"


def test_mount_paths_move_in_arguments_and_values() -> None:
    found = launched(
        {"args": ["--cert-dir=/certs"], "workingDir": "/app"},
        mounts={"/certs": "/v/certs", "/app": "/v/app", "/tmp": "/v/tmp"},
        FILE="/certs/a",
    )
    assert "--cert-dir=/v/certs" in found.argv
    assert (found.env["FILE"], found.env["TMPDIR"], found.directory) == ("/v/certs/a", "/v/tmp", Path("/v/app"))


def test_argument_refers_to_the_specs_value_as_it_is_there() -> None:
    found = launched({"args": ["$(DIR)/x"]}, mounts={"/certs": "/v/certs"}, DIR="/certs")
    assert found.argv[2] == "/v/certs/x"


def test_working_directory_of_the_image_is_not_here() -> None:
    assert launched({"workingDir": "/no/such/directory"}).directory == HOME
    assert launched({"workingDir": "/"}).directory == Path("/")


def test_image_without_program_needs_a_command() -> None:
    with pytest.raises(ValueError, match="no command specified"):
        launched({}, Image())
    assert launched({"args": ["true"]}, Image()).argv == ["true"]


def test_probe_commands_run_in_the_container() -> None:
    found = launched({}, mounts={"/shared": "/v/shared"})
    assert found.words(["python", "/shared/check.py", "svc.ns.svc"]) == [
        sys.executable,
        "/v/shared/check.py",
        "127.65.0.1",
    ]


def test_webuis_own_start_script_is_the_simulator() -> None:
    found = launched({"command": ["python", "launch.py"], "args": ["--api"]}, images.OWN["a1111"])
    assert found.argv == [sys.executable, "-m", "sandbox.webui.a1111", "--api"]
    assert found.env["PYTHONUNBUFFERED"] == "1"


def test_adapter_of_keda() -> None:
    image = THIRD_PARTY["ghcr.io/kedacore/keda-metrics-apiserver"].image
    found = launched({"command": ["/keda-adapter"], "args": ["--secure-port=6443"]}, image)
    assert found.argv[:2] == ["/bin-dir/keda-adapter", "--secure-port=6443"]
    assert {"--bind-address=127.64.0.1", "--kubeconfig=/k"} <= set(found.argv)
    assert "--metrics-service-grpc-authority=keda-operator.ns.svc" in found.argv
    assert found.env["POD_IP"] == "127.64.0.1"


def test_karpenter_listens_on_the_pods_address() -> None:
    image = THIRD_PARTY["public.ecr.aws/karpenter/controller"].image
    found = launched({}, image, METRICS_PORT="8080", HEALTH_PROBE_PORT="8081")
    assert found.argv == ["/bin-dir/karpenter"]
    assert {name: found.env[name] for name in ("POD_IP", "METRICS_PORT", "HEALTH_PROBE_PORT")} == {
        "POD_IP": "127.64.0.1",
        "METRICS_PORT": "8080",
        "HEALTH_PROBE_PORT": "8081",
    }


SPEC: dict[str, Any] = {
    "initContainers": [{"name": "init", "envFrom": [{"secretRef": {"name": "es"}}]}],
    "containers": [
        {
            "name": "main",
            "env": [
                {"name": "AWS_REGION", "value": "eu-west-1"},
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "kc", "key": "k"}}},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
        },
        {"name": "left"},
    ],
    "volumes": [
        {"name": "a", "configMap": {"name": "vc"}},
        {"name": "b", "secret": {"secretName": "vs"}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "pc"}}, {"secret": {"name": "ps"}}]}},
        {"name": "d", "emptyDir": {}},
    ],
}


def test_pod_identity_is_injected_as_eks_does_it() -> None:
    annotations = {"eks.amazonaws.com/skip-containers": "left, other"}
    spec = inject(SPEC, annotations, region="us-east-1", credentials_url="http://127.0.0.1:1/v1/credentials")
    assert spec["volumes"][-1] == {
        "name": "eks-pod-identity-token",
        "projected": {
            "sources": [
                {
                    "serviceAccountToken": {
                        "audience": "pods.eks.amazonaws.com",
                        "expirationSeconds": 86400,
                        "path": "eks-pod-identity-token",
                    }
                }
            ]
        },
    }
    directory = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
    init, main, left = spec["initContainers"][0], spec["containers"][0], spec["containers"][1]
    assert {entry["name"]: entry["value"] for entry in init["env"]} == {
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{directory}/eks-pod-identity-token",
    }
    assert [entry["value"] for entry in main["env"] if entry["name"] == "AWS_REGION"] == ["eu-west-1"]
    assert main["volumeMounts"][-1]["mountPath"] == directory
    assert left == {"name": "left"}
    assert len(SPEC["volumes"]) == 4


def test_references_of_a_spec() -> None:
    names = {"configMap": {"vc", "pc", "kc"}, "secret": {"vs", "ps", "es"}}
    assert references(SPEC) == {(kind, name) for kind, found in names.items() for name in found}
