"""Nodes: what the API server is told of an instance, and where services lead."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.kubernetes import versions
from sandbox.kubernetes.kubelet import capacity
from sandbox.kubernetes.kubelet.instances import Instances, tags
from sandbox.kubernetes.kubelet.node import NodeGroup, lease, node_object
from sandbox.kubernetes.kubelet.services import endpoints

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

    def describe_instance_types(self, **_: Any) -> dict[str, Any]:
        self.calls += 1
        return {"InstanceTypes": [G5]}

    def describe_images(self, **_: Any) -> dict[str, Any]:
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
    for _ in range(2):
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
