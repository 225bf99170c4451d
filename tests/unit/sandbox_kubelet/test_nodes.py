"""Nodes: what the API server is told of an instance, and where services lead."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from sandbox.kubernetes import versions
from sandbox.kubernetes.kubelet import capacity
from sandbox.kubernetes.kubelet.api import Api
from sandbox.kubernetes.kubelet.instances import Instances, tags
from sandbox.kubernetes.kubelet.mirror import Mirror
from sandbox.kubernetes.kubelet.node import Node, NodeGroup, lease, node_object
from sandbox.kubernetes.kubelet.nodes import Nodes
from sandbox.kubernetes.kubelet.services import endpoints
from support.waiting import until

# As DescribeInstanceTypes has them.
G5: dict[str, Any] = {
    "VCpuInfo": {"DefaultVCpus": 4},
    "MemoryInfo": {"SizeInMiB": 16384},
    "NetworkInfo": {"MaximumNetworkInterfaces": 4, "Ipv4AddressesPerInterface": 15},
    "GpuInfo": {"Gpus": [{"Manufacturer": "NVIDIA", "Count": 1}]},
}
M5 = {**G5, "VCpuInfo": {"DefaultVCpus": 2}, "MemoryInfo": {"SizeInMiB": 8192}, "GpuInfo": {}}
INSTANCE: dict[str, Any] = {
    "InstanceId": "i-1",
    "InstanceType": "g5.xlarge",
    "PrivateDnsName": "ip-10-0-0-4.ec2.internal",
    "ImageId": "ami-1",
    "Architecture": "x86_64",
    "Placement": {"AvailabilityZone": "us-east-1a"},
    "Tags": [{"Key": "karpenter.sh/nodepool", "Value": "gpu"}],
}
MANAGED = {
    **INSTANCE,
    "Tags": [{"Key": "eks:nodegroup-name", "Value": "system"}, {"Key": "eks:cluster-name", "Value": "sd"}],
}


def test_size_of_a_gpu_type() -> None:
    size = capacity.size(G5)
    # 58 pods and the shares of 4 cores are what EKS' own tables say of g5.xlarge.
    assert size.capacity == {
        "cpu": "4",
        "memory": "15155Mi",
        "pods": "58",
        "ephemeral-storage": "80Gi",
        "nvidia.com/gpu": "1",
    }
    assert size.allocatable == {**size.capacity, "cpu": "3920m", "memory": f"{15155 - 11 * 58 - 355}Mi"}


def test_size_without_gpus() -> None:
    assert "nvidia.com/gpu" not in capacity.size(M5).capacity
    assert "nvidia.com/gpu" not in capacity.size(G5, gpus=False).capacity
    assert capacity.size(M5).allocatable["cpu"] == "1930m"
    large = {**M5, "VCpuInfo": {"DefaultVCpus": 48}}
    assert capacity.size(large).allocatable["cpu"] == str(48000 - 80 - 110) + "m"


def test_node_of_karpenters_instance() -> None:
    node = node_object(INSTANCE, capacity.size(G5), "10.66.0.1", "bottlerocket-nvidia", None)
    assert node["metadata"]["name"] == "ip-10-0-0-4.ec2.internal"
    assert node["spec"] == {
        "providerID": "aws:///us-east-1a/i-1",
        "taints": [{"key": "karpenter.sh/unregistered", "effect": "NoExecute"}],
    }
    assert node["metadata"]["labels"] == {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": "ip-10-0-0-4.ec2.internal",
        "node.kubernetes.io/instance-type": "g5.xlarge",
        "topology.kubernetes.io/region": "us-east-1",
        "topology.kubernetes.io/zone": "us-east-1a",
    }
    status = node["status"]
    assert status["capacity"]["nvidia.com/gpu"] == "1"
    assert {"type": "InternalIP", "address": "10.66.0.1"} in status["addresses"]
    assert {one["type"]: one["status"] for one in status["conditions"]}["Ready"] == "True"
    assert status["nodeInfo"]["kubeletVersion"] == f"v{versions.KUBERNETES}"
    assert status["nodeInfo"]["osImage"] == "bottlerocket-nvidia"


def test_node_of_a_managed_group() -> None:
    taints = [{"key": "a", "value": "b", "effect": "NO_SCHEDULE"}, {"key": "c", "effect": "PREFER_NO_SCHEDULE"}]
    group = NodeGroup("system", "SPOT", {"role": "system"}, taints)
    node = node_object({**MANAGED, "Architecture": "arm64"}, capacity.size(M5), "10.66.0.1", "al2023", group)
    assert node["spec"]["taints"] == [
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "effect": "PreferNoSchedule"},
    ]
    labels = node["metadata"]["labels"]
    assert labels["role"] == labels["eks.amazonaws.com/nodegroup"] == "system"
    assert (labels["eks.amazonaws.com/capacityType"], labels["kubernetes.io/arch"]) == ("SPOT", "arm64")


def test_lease_belongs_to_its_node() -> None:
    found = lease("n", "uid-1")
    assert found["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "uid-1"}]
    assert found["spec"]["leaseDurationSeconds"] == 40


class Aws:
    """Plays EC2 and EKS."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.calls = 0

    def describe_instance_types(self, **_ignored: Any) -> dict[str, Any]:
        self.calls += 1
        return {"InstanceTypes": [G5]}

    def describe_images(self, **_ignored: Any) -> dict[str, Any]:
        self.calls += 1
        return {"Images": [{"Name": self.image}] if self.image else []}

    def describe_nodegroup(self, **asked: str) -> dict[str, Any]:
        assert asked == {"clusterName": "sd", "nodegroupName": "system"}
        return {"nodegroup": {"labels": {"a": "b"}, "taints": [{"key": "t", "effect": "NO_EXECUTE"}]}}


@pytest.mark.parametrize(
    ("image", "gpus"),
    [
        ("bottlerocket-aws-k8s-1.35-nvidia-x86_64-v1.66.0", True),
        ("bottlerocket-aws-k8s-1.35-x86_64-v1.66.0", False),
        ("al2023-ami", True),
        ("", True),
    ],
)
def test_plain_bottlerocket_offers_no_gpus(image: str, gpus: bool) -> None:
    instances = Instances(aws := Aws(image), aws)
    for _ignored in range(2):
        os_image = instances.os_image(INSTANCE)
        assert ("nvidia.com/gpu" in instances.size(INSTANCE, os_image).capacity) is gpus
    assert os_image == (image or "ami-1")
    assert aws.calls == 2


def test_group_of_an_instance() -> None:
    instances = Instances(aws := Aws(""), aws)
    assert instances.group(INSTANCE) is None
    assert instances.group(MANAGED) == NodeGroup(
        "system", "ON_DEMAND", {"a": "b"}, [{"key": "t", "effect": "NO_EXECUTE"}]
    )
    assert tags({}) == {}


SERVICE = {
    "metadata": {"name": "web", "namespace": "ns"},
    "spec": {"ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 8080}]},
}


def slice_of(service: str, name: str, port: int, *found: tuple[str, bool | None]) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": name, "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address, ready in found],
    }


def test_service_leads_to_ready_endpoints_of_the_port() -> None:
    slices = [
        slice_of("web", "http", 8000, ("10.64.0.1", True), ("10.64.0.2", False), ("10.64.0.3", None)),
        slice_of("web", "metrics", 9000, ("10.64.0.1", True)),
        slice_of("other", "http", 8000, ("10.64.0.9", True)),
    ]
    assert endpoints(SERVICE, 80, iter(slices)) == [("10.64.0.1", 8000), ("10.64.0.3", 8000)]
    assert endpoints(SERVICE, 8080, iter(slices)) == [("10.64.0.1", 9000)]
    assert endpoints(SERVICE, 81, iter(slices)) == []


def test_port_without_a_name() -> None:
    service = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    assert endpoints(service, 80, iter([slice_of("web", "", 8000, ("10.64.0.1", True))])) == [("10.64.0.1", 8000)]


class Machines:
    """Plays the embedded EC2: what runs is in `live`."""

    def __init__(self) -> None:
        self.live: list[dict[str, Any]] = []
        self.looks = 0

    def running(self) -> list[dict[str, Any]]:
        self.looks += 1
        return list(self.live)

    def os_image(self, instance: dict[str, Any]) -> str:
        return "bottlerocket-nvidia"

    def group(self, instance: dict[str, Any]) -> None:
        if instance["InstanceId"] == "i-odd":
            raise ValueError("no such group")

    def size(self, instance: dict[str, Any], os_image: str) -> capacity.Size:
        return capacity.size(G5)


class Joining:
    """Nodes that follow Machines and an API server that takes notes."""

    def __init__(self, api: Api, boot: float = 0) -> None:
        self.machines = Machines()
        self.mirror = Mirror(api, "/api/v1/nodes")
        self.joined: list[Node] = []
        self.lost: list[Node] = []
        machines: Any = self.machines
        self.nodes = Nodes(
            api,
            machines,
            self.mirror,
            net=66,
            boot=boot,
            joined=self.joined.append,
            lost=self.lost.append,
        )

    async def looked(self, times: int = 2) -> None:
        """Return when the nodes have looked at the instances once more."""
        seen = self.machines.looks
        await until(lambda: self.machines.looks >= seen + times)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.kubernetes.kubelet.nodes._POLL_S", 0.01)


def launched(name: str, seconds_ago: float = 60) -> dict[str, Any]:
    when = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    return {**INSTANCE, "InstanceId": name, "PrivateDnsName": f"{name}.internal", "LaunchTime": when}


def held(name: str, address: str, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{name}.internal", "uid": f"uid-{name}", **metadata},
        "spec": {"providerID": f"aws:///us-east-1a/{name}"},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


async def test_instance_joins_and_is_kept_alive(server: Any, api: Api) -> None:
    joining = Joining(api)
    server.refuse["PATCH", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/i-1.internal"] = 404
    joining.machines.live = [launched("i-1")]
    task = asyncio.create_task(joining.nodes.run())
    await until(lambda: joining.joined)
    await joining.looked()
    task.cancel()
    assert [(node.name, node.instance, node.address) for node in joining.joined] == [
        ("i-1.internal", "i-1", "10.66.0.1")
    ]
    (_ignored, path, node), (_ignored, leases, made) = server.written
    assert (path, node["metadata"]["name"]) == ("/api/v1/nodes", "i-1.internal")
    assert leases == "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert joining.nodes.owns("10.66.0.1")


async def test_instance_that_is_gone_takes_its_node_with_it(server: Any, api: Api) -> None:
    joining = Joining(api)
    joining.machines.live = [launched("i-1")]
    task = asyncio.create_task(joining.nodes.run())
    await until(lambda: joining.joined)
    for name, more in (("i-1", {}), ("i-2", {"deletionTimestamp": "now"})):
        joining.mirror.items["", f"{name}.internal"] = held(name, "10.66.0.1", **more)
    joining.mirror.items["", "other"] = {"metadata": {"name": "other", "uid": "o"}, "spec": {"providerID": "kwok://x"}}
    joining.machines.live = []
    await until(lambda: joining.lost)
    await joining.looked()
    task.cancel()
    deleted = {path for method, path, _ignored in server.written if method == "DELETE"}
    assert deleted == {"/api/v1/nodes/i-1.internal"}
    assert joining.nodes.items == {}


async def test_node_that_was_told_of_before_keeps_its_address(server: Any, api: Api) -> None:
    joining = Joining(api)
    server.refuse["POST", "/api/v1/nodes"] = 409
    joining.mirror.items["", "i-2.internal"] = held("i-2", "10.66.0.1")
    joining.machines.live = [launched("i-1"), launched("i-2")]
    task = asyncio.create_task(joining.nodes.run())
    await until(lambda: len(joining.joined) == 2)
    task.cancel()
    assert [(node.instance, node.address) for node in joining.joined] == [("i-2", "10.66.0.1"), ("i-1", "10.66.0.2")]
    assert ("PATCH", "/api/v1/nodes/i-2.internal/status") in {
        (method, path) for method, path, _ignored in server.written
    }


async def test_name_of_another_instances_node_is_waited_for(server: Any, api: Api) -> None:
    joining = Joining(api)
    joining.mirror.items["", "i-1.internal"] = held("i-0", "10.66.0.1", deletionTimestamp="now")
    joining.machines.live = [launched("i-1")]
    task = asyncio.create_task(joining.nodes.run())
    await joining.looked()
    assert not joining.joined
    joining.mirror.items.clear()
    await until(lambda: joining.joined)
    task.cancel()


async def test_boot_takes_its_time(server: Any, api: Api) -> None:
    joining = Joining(api, boot=30)
    joining.machines.live = [launched("i-1", seconds_ago=31), launched("i-2", seconds_ago=10)]
    task = asyncio.create_task(joining.nodes.run())
    await until(lambda: joining.joined)
    await joining.looked()
    task.cancel()
    assert [node.instance for node in joining.joined] == ["i-1"]


async def test_instance_that_cannot_join_is_told_once_and_keeps_nobody(
    server: Any, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    joining = Joining(api)
    joining.machines.live = [launched("i-odd"), launched("i-1")]
    task = asyncio.create_task(joining.nodes.run())
    await until(lambda: joining.joined)
    await joining.looked(3)
    task.cancel()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "i-odd: no such group, tried again"
    ]
