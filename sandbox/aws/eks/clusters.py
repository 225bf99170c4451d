"""CreateCluster and DeleteCluster: the one cluster that stands behind the record is the sandbox's own API server."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.core.exceptions import ServiceException

from sandbox.aws.ec2.images import KUBERNETES_VERSION
from sandbox.aws.eks.errors import EksError, invalid_parameter
from sandbox.aws.eks.records import Records

__all__ = ["Clusters"]

_log = logging.getLogger(__name__)


class Clusters:
    """What comes before and after ministack's own handling of a cluster.

    Args:
        endpoint: URL of the API server.
        authority: file of its certificate authority; not there while only the embedded AWS is up.
        service_cidr: the API server's range of service addresses.
        ec2: returns moto's EC2 back end.
    """

    def __init__(
        self, records: Records, *, endpoint: str, authority: Path, service_cidr: str, ec2: Callable[[], Any]
    ) -> None:
        self._records = records
        self._endpoint = endpoint
        self._authority = authority
        self._service_cidr = service_cidr
        self._ec2 = ec2

    def check_create(self, request: dict[str, Any]) -> None:
        """Refuse what EKS would refuse, and a second cluster."""
        name = request.get("name")
        for existing in self._records.clusters():
            if existing["name"] != name:
                message = f"A sandbox has one Kubernetes API server, which is cluster {existing['name']!r} already."
                raise EksError(400, "ResourceLimitExceededException", message)
        check_version(request.setdefault("version", KUBERNETES_VERSION))
        vpcs = {self._subnet(subnet).vpc_id for subnet in request.get("resourcesVpcConfig", {}).get("subnetIds", [])}
        if len(vpcs) != 1:
            raise invalid_parameter("Subnets specified must be in one VPC, and there must be at least one.")

    def after_create(self, request: dict[str, Any]) -> None:
        """Complete the record that ministack made."""
        cluster = self._records.cluster(request["name"])
        if cluster is None:
            return
        vpc = cluster["resourcesVpcConfig"]
        vpc["vpcId"] = self._subnet(vpc["subnetIds"][0]).vpc_id
        vpc["clusterSecurityGroupId"] = self._security_group(cluster["name"], vpc["vpcId"])
        cluster["endpoint"] = self._endpoint
        cluster["certificateAuthority"]["data"] = self._authority_data()
        network = {"serviceIpv4Cidr": self._service_cidr, "ipFamily": "ipv4"}
        cluster["kubernetesNetworkConfig"] = {**network, "elasticLoadBalancing": {"enabled": False}}
        cluster["platformVersion"] = "eks.1"
        cluster["health"] = {"issues": []}
        cluster["deletionProtection"] = bool(request.get("deletionProtection", False))
        cluster["upgradePolicy"] = {"supportType": "EXTENDED", **request.get("upgradePolicy", {})}
        # https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessConfigRequest.html: the API's defaults.
        cluster["accessConfig"] = {
            "authenticationMode": "CONFIG_MAP",
            "bootstrapClusterCreatorAdminPermissions": True,
            **request.get("accessConfig", {}),
        }

    def check_delete(self, name: str) -> None:
        """Refuse to delete a cluster that has node groups or is protected."""
        cluster = self._records.cluster(name)
        if cluster and cluster.get("deletionProtection"):
            raise EksError(400, "InvalidRequestException", f"Cluster {name} is protected against deletion.")
        if any(group["clusterName"] == name for group in self._records.node_groups()):
            raise EksError(409, "ResourceInUseException", "Cluster has nodegroups attached")

    def after_delete(self, answer: dict[str, Any]) -> None:
        """Take away what came with the cluster or belonged to it."""
        self._records.forget_addons(answer["cluster"]["name"])
        group = answer["cluster"]["resourcesVpcConfig"].get("clusterSecurityGroupId")
        try:
            self._ec2().delete_security_group(group_id=group)
        except ServiceException as error:
            _log.warning("The cluster's security group stays: %s", error)

    def _subnet(self, subnet_id: str) -> Any:
        try:
            return self._ec2().get_subnet(subnet_id)
        except ServiceException:
            raise invalid_parameter(f"The subnet ID '{subnet_id}' does not exist") from None

    def _security_group(self, name: str, vpc_id: str) -> str:
        """EKS makes this group itself and lets its members reach each other."""
        group = self._ec2().create_security_group(
            f"eks-cluster-sg-{name}",
            "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
            "as well as any managed workloads.",
            vpc_id,
            tags={
                "Name": f"eks-cluster-sg-{name}",
                "aws:eks:cluster-name": name,
                f"kubernetes.io/cluster/{name}": "owned",
            },
        )
        self._ec2().authorize_security_group_ingress(
            group.id, "-1", None, None, ip_ranges=[], source_groups=[{"GroupId": group.id}]
        )
        return str(group.id)

    def _authority_data(self) -> str:
        if not self._authority.is_file():
            return ""
        return base64.b64encode(self._authority.read_bytes()).decode()


def check_version(version: str) -> None:
    """Refuse any Kubernetes version but the API server's.

    Raises:
        EksError: InvalidParameterException.
    """
    if version != KUBERNETES_VERSION:
        raise invalid_parameter(f"unsupported Kubernetes version {version}; the sandbox has {KUBERNETES_VERSION}")
