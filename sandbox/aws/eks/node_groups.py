"""The EC2 side of managed node groups: as many running instances as a group wants."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException

from sandbox.aws.ec2.images import BOTTLEROCKET_VERSION, image_parameter
from sandbox.aws.ec2.launch import Launch, launch
from sandbox.aws.eks.errors import EksError, invalid_parameter
from sandbox.aws.eks.records import Record, Records

__all__ = ["NodeGroups"]

_log = logging.getLogger(__name__)

# https://docs.aws.amazon.com/eks/latest/APIReference/API_Nodegroup.html, amiType: those whose image the sandbox has.
_IMAGES = {
    "BOTTLEROCKET_x86_64": image_parameter("", "x86_64"),
    "BOTTLEROCKET_ARM_64": image_parameter("", "arm64"),
    "BOTTLEROCKET_x86_64_NVIDIA": image_parameter("-nvidia", "x86_64"),
    "BOTTLEROCKET_ARM_64_NVIDIA": image_parameter("-nvidia", "arm64"),
    "AL2023_x86_64_STANDARD": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    "AL2023_ARM_64_STANDARD": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
}
# Kept by EKS and told by DescribeNodegroup; ministack drops them.
_KEPT = ("updateConfig", "nodeRepairConfig", "launchTemplate", "remoteAccess")
_DEFAULTS: dict[str, Any] = {"amiType": "AL2023_x86_64_STANDARD", "updateConfig": {"maxUnavailable": 1}}


class NodeGroups:
    """Makes the instances of node groups, and ends those of groups that shrank or are gone.

    Args:
        ec2: returns moto's EC2 back end.
        ssm: returns moto's SSM back end.
    """

    def __init__(self, records: Records, *, ec2: Callable[[], Any], ssm: Callable[[], Any]) -> None:
        self._records = records
        self._ec2 = ec2
        self._ssm = ssm
        self._lock = threading.RLock()

    def check_create(self, request: dict[str, Any]) -> None:
        """Refuse what could never get instances; fill in the API's defaults."""
        for key, value in _DEFAULTS.items():
            request.setdefault(key, value)
        if request["amiType"] not in _IMAGES:
            raise invalid_parameter(f"The sandbox has no image for amiType {request['amiType']}.")
        scaling = request.setdefault("scalingConfig", {"minSize": 1, "maxSize": 2, "desiredSize": 2})
        check_scaling(scaling)
        known = {subnet.id for subnet in self._ec2().describe_subnets()}
        missing = [subnet for subnet in request.get("subnets", []) if subnet not in known]
        if missing or not request.get("subnets"):
            raise invalid_parameter(f"Subnets are not valid: {', '.join(missing) or 'none given'}")

    def after_create(self, cluster: str, request: dict[str, Any]) -> None:
        """Complete the record that ministack made, and launch the instances."""
        record = self._records.node_group(cluster, request["nodegroupName"])
        if record is None:
            return
        record.update({key: request[key] for key in _KEPT if key in request})
        record["releaseVersion"] = request.get("releaseVersion") or BOTTLEROCKET_VERSION
        self.reconcile()

    def reconcile(self) -> None:
        """Bring the instances in line with the records; called after every change of either."""
        with self._lock:
            wanted = {
                (group["clusterName"], group["nodegroupName"]): group
                for group in self._records.node_groups()
                if group["status"] == "ACTIVE"
            }
            running: dict[tuple[str, str], list[Any]] = {key: [] for key in wanted}
            for instance in self._ec2().all_running_instances():
                tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
                if "eks:nodegroup-name" in tags:
                    running.setdefault((tags["eks:cluster-name"], tags["eks:nodegroup-name"]), []).append(instance)
            for key, instances in running.items():
                self._resize(wanted.get(key), instances)

    def _resize(self, group: Record | None, instances: list[Any]) -> None:
        size = int(group["scalingConfig"]["desiredSize"]) if group else 0
        if surplus := [instance.id for instance in instances[size:]]:
            self._ec2().terminate_instances(surplus)
        for number in range(len(instances), size):
            if group is not None and not self._launch(group, number):
                return

    def _launch(self, group: Record, number: int) -> bool:
        """One instance, the subnets taken in turn; a refusal becomes the group's health, as on EKS."""
        name, cluster = group["nodegroupName"], self._records.cluster(group["clusterName"])
        if cluster is None:
            return False
        subnet = self._ec2().get_subnet(group["subnets"][number % len(group["subnets"])])
        parameter = self._ssm().get_parameter(_IMAGES[group["amiType"]])
        tags = {
            "eks:cluster-name": group["clusterName"],
            "eks:nodegroup-name": name,
            f"kubernetes.io/cluster/{group['clusterName']}": "owned",
            "aws:autoscaling:groupName": group["resources"]["autoScalingGroups"][0]["name"],
        }
        try:
            launch(
                self._ec2(),
                Launch(
                    data={"SecurityGroupIds": [cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]]},
                    instance_type=group["instanceTypes"][0],
                    image_id=parameter.value,
                    subnet_id=subnet.id,
                    zone=subnet.availability_zone,
                    lifecycle="spot" if group["capacityType"] == "SPOT" else "on-demand",
                    tags={"instance": tags},
                ),
            )
        except ServiceException as error:
            _log.warning("Node group %s gets no instance: %s", name, error)
            issue = {"code": "AsgInstanceLaunchFailures", "message": str(error), "resourceIds": [name]}
            group["health"] = {"issues": [issue]}
            return False
        group["health"] = {"issues": []}
        return True


def check_scaling(scaling: dict[str, Any]) -> None:
    """Refuse sizes that contradict each other.

    Raises:
        EksError: InvalidParameterException.
    """
    low, wanted, high = (int(scaling.get(key, 0)) for key in ("minSize", "desiredSize", "maxSize"))
    if high < 1 or not 0 <= low <= wanted <= high:
        raise EksError(
            400, "InvalidParameterException", f"Sizes must be min <= desired <= max: {low}, {wanted}, {high}"
        )
