"""Images: names, the table, pulls."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from sandbox.kubernetes import versions
from sandbox.kubernetes.kubelet import images
from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.images import Reference, third_party
from sandbox.kubernetes.kubelet.puller import Puller
from sandbox.kubernetes.kubelet.registry import PullError, Registry

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "repository"),
    [
        ("python", "docker.io/library/python:latest", "library/python"),
        ("python:3.11", "docker.io/library/python:3.11", "library/python"),
        ("some/unknown:1", "docker.io/some/unknown:1", "some/unknown"),
        ("ghcr.io/kedacore/keda:2.21.0", "ghcr.io/kedacore/keda:2.21.0", "kedacore/keda"),
        ("localhost/x", "localhost/x:latest", "x"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "x"),
        (f"{ECR}/a1111:1", f"{ECR}/a1111:1", "a1111"),
        (f"{ECR}/a/b@{DIGEST}", f"{ECR}/a/b@{DIGEST}", "a/b"),
        (f"{ECR}/a:1@{DIGEST}", f"{ECR}/a:1@{DIGEST}", "a"),
    ],
)
def test_name_is_completed(text: str, full: str, repository: str) -> None:
    reference = Reference.parse(text)
    assert (str(reference), reference.repository) == (full, repository)


@pytest.mark.parametrize("text", ["", "Upper:1", "a:b:c", "a//b", "a:", "a@sha256:12", "a@", "-a", "a b"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="couldn't parse image name"):
        Reference.parse(text)


def test_ecr_is_recognised() -> None:
    assert Reference.parse(f"{ECR}/a:1").ecr == ("123456789012", "us-east-1")
    assert Reference.parse("ghcr.io/a:1").ecr is None


def test_third_party_images_are_those_that_there_are_binaries_of() -> None:
    assert third_party(Reference.parse(f"public.ecr.aws/karpenter/controller:{versions.KARPENTER}"))
    assert third_party(Reference.parse(f"public.ecr.aws/karpenter/controller:{versions.KARPENTER}@{DIGEST}"))
    assert third_party(Reference.parse("public.ecr.aws/karpenter/controller:0.1.0")) is None
    assert third_party(Reference.parse(f"ghcr.io/kedacore/keda:{versions.KEDA}"))
    assert third_party(Reference.parse(f"ghcr.io/kedacore/keda-metrics-apiserver:{versions.KEDA}"))
    assert third_party(Reference.parse("python:3.12-slim"))
    assert third_party(Reference.parse("quay.io/python:3")) is None


def test_own_images_run_the_projects_programs() -> None:
    assert images.OWN["queue-agent"].entrypoint == ("python", "-m", "sd_agent.worker")
    assert images.OWN["a1111"].entrypoint == ("python", "-m", "sandbox.webui.a1111")


class Ecr:
    """Plays the embedded ECR: knows repository `a` with tag `1`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.error: Exception | None = None

    def describe_images(self, *, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:
        self.asked.append((repositoryName, imageIds[0]))
        if self.error:
            raise self.error
        code = "RepositoryNotFoundException" if repositoryName not in ("a", "queue-agent") else "ImageNotFoundException"
        if repositoryName in ("a", "queue-agent") and imageIds[0] in ({"imageTag": "1"}, {"imageDigest": DIGEST}):
            return {"imageDetails": [{"imageDigest": DIGEST, "imageSizeInBytes": 12}]}
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeImages")


class Told:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def __call__(self, container: Any, reason: str, message: str, *, warning: bool = False) -> None:
        self.events.append((reason, message))


async def pull(name: str, ecr: Ecr | None = None) -> Any:
    return await Registry(ecr or Ecr(), "123456789012", "us-east-1").pull(Reference.parse(name))


async def test_image_of_the_embedded_registry() -> None:
    pulled = await pull(f"{ECR}/queue-agent:1")
    assert pulled.image is images.OWN["queue-agent"]
    assert (pulled.digest, pulled.size) == (f"{ECR}/queue-agent@{DIGEST}", 12)
    assert (await pull(f"{ECR}/a@{DIGEST}")).image is None


@pytest.mark.parametrize("name", [f"{ECR}/a:2", f"{ECR}/b:1", "some/unknown:1", "ghcr.io/kedacore/keda:1.0.0"])
async def test_missing_image_is_told_as_containerd_tells_it(name: str) -> None:
    full = str(Reference.parse(name))
    with pytest.raises(PullError) as caught:
        await pull(name)
    assert caught.value.reason == "ErrImagePull"
    assert str(caught.value) == (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{full}": '
        f'failed to resolve reference "{full}": {full}: not found'
    )


async def test_other_accounts_registry_is_refused() -> None:
    with pytest.raises(PullError, match="authorization failed"):
        await pull("999999999999.dkr.ecr.us-east-1.amazonaws.com/a:1")


async def test_silent_registry_is_a_failed_pull() -> None:
    ecr = Ecr()
    ecr.error = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(PullError, match="failed to do request"):
        await pull(f"{ECR}/a:1", ecr)


def container(name: str, policy: str | None = None) -> dict[str, Any]:
    return {"name": "main", "image": name, **({"imagePullPolicy": policy} if policy else {})}


class Setting:
    """A puller with a clock of its own."""

    def __init__(self) -> None:
        self.ecr, self.told, self.now, self.present = Ecr(), Told(), 0.0, dict[str, Any]()
        registry = Registry(self.ecr, "123456789012", "us-east-1")
        self.puller = Puller(registry, self.present, self.told, lambda: self.now)

    async def blocked(self, one: dict[str, Any]) -> Blocked:
        with pytest.raises(Blocked) as caught:
            await self.puller.ensure(one)
        return caught.value


async def test_present_image_is_asked_for_only_by_policy() -> None:
    setting = Setting()
    for policy in (None, "IfNotPresent", "Never", "Always"):
        await setting.puller.ensure(container(f"{ECR}/a:1", policy))
    assert len(setting.ecr.asked) == 2
    assert [reason for reason, _ignored in setting.told.events] == [
        "Pulling",
        "Pulled",
        "Pulled",
        "Pulled",
        "Pulling",
        "Pulled",
    ]
    assert setting.told.events[2][1] == f'Container image "{ECR}/a:1" already present on machine'


async def test_never_pulled_image() -> None:
    setting = Setting()
    blocked = await setting.blocked(container(f"{ECR}/a:1", "Never"))
    assert blocked.reason == "ErrImageNeverPull"
    assert blocked.message == f'Container image "{ECR}/a:1" is not present with pull policy of Never'
    assert not setting.ecr.asked


async def test_bad_name() -> None:
    blocked = await Setting().blocked(container("Bad:1"))
    assert blocked.reason == "InvalidImageName"


async def test_pulls_back_off_and_recover() -> None:
    setting, waits = Setting(), []
    for _ignored in range(3):
        blocked = await setting.blocked(container(f"{ECR}/a:2"))
        assert blocked.reason == "ErrImagePull"
        setting.now += 1
        blocked = await setting.blocked(container(f"{ECR}/a:2"))
        assert blocked.reason == "ImagePullBackOff"
        assert blocked.message.startswith(f'Back-off pulling image "{ECR}/a:2": ErrImagePull: rpc error')
        waits.append(1 + blocked.retry)
        setting.now += blocked.retry
    assert waits == [10, 20, 40]
    assert len(setting.ecr.asked) == 3
    assert [reason for reason, _ignored in setting.told.events[:3]] == ["Pulling", "Failed", "BackOff"]
