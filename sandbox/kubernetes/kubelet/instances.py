"""What the embedded EC2 and EKS say about instances. Every call blocks: `nodes` makes them in threads."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sandbox.kubernetes.kubelet import capacity
from sandbox.kubernetes.kubelet.capacity import Size
from sandbox.kubernetes.kubelet.node import KARPENTER_TAG, MANAGED_TAG, NodeGroup

__all__ = ["Instance", "Instances", "tags"]

_CLUSTER_TAG = "eks:cluster-name"

Instance = dict[str, Any]


def tags(instance: Instance) -> dict[str, str]:
    """An instance's tags."""
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags") or []}


class Instances:
    """The machines that are, or become, nodes.

    Args:
        ec2: a boto3 client of the embedded EC2.
        eks: one of the embedded EKS.
    """

    def __init__(self, ec2: Any, eks: Any) -> None:
        self._ec2 = ec2
        self._eks = eks
        self._types: dict[str, dict[str, Any]] = {}
        self._images: dict[str, str] = {}

    def running(self) -> list[Instance]:
        """The running instances of Karpenter's and of managed node groups."""
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "instance-state-name", "Values": ["running"]},
                {"Name": "tag-key", "Values": [KARPENTER_TAG, MANAGED_TAG]},
            ]
        )
        return [
            instance for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]
        ]

    def size(self, instance: Instance, os_image: str) -> Size:
        """What the instance has. A Bottlerocket without NVIDIA's driver offers no GPUs, whatever the type has."""
        kind = instance["InstanceType"]
        if kind not in self._types:
            [self._types[kind]] = self._ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"]
        plain = os_image.startswith("bottlerocket") and "nvidia" not in os_image
        return capacity.size(self._types[kind], gpus=not plain)

    def os_image(self, instance: Instance) -> str:
        """The name of its AMI; its id if it has none (any more)."""
        ami = instance.get("ImageId", "")
        if ami not in self._images:
            try:
                found = self._ec2.describe_images(ImageIds=[ami])["Images"]
            except ClientError:
                found = []
            self._images[ami] = (found[0].get("Name") if found else None) or ami
        return self._images[ami]

    def group(self, instance: Instance) -> NodeGroup | None:
        """Its managed node group as it is now; None for an instance of Karpenter's.

        Raises:
            botocore.exceptions.ClientError: the group is gone.
        """
        found = tags(instance)
        name = found.get(MANAGED_TAG)
        if name is None:
            return None
        answer = self._eks.describe_nodegroup(clusterName=found.get(_CLUSTER_TAG, ""), nodegroupName=name)
        group = answer["nodegroup"]
        return NodeGroup(
            name,
            str(group.get("capacityType") or "ON_DEMAND"),
            group.get("labels") or {},
            group.get("taints") or [],
        )
