"""What hangs together in a VPC goes together, and stays while something uses it (moto deletes anything at any time).

The refusals are those of EC2's documentation, "Delete your VPC" and the API reference of each action; without them a
teardown in the wrong order would succeed here and fail on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpcs import VPCBackend

__all__ = ["install"]


class _Refusal(ServiceException):  # type: ignore[misc]
    """An EC2 error of that code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


def install() -> None:
    """Wrap moto's back end; once in a process."""
    InstanceBackend.run_instances = _run_instances(InstanceBackend.run_instances)
    NatGatewayBackend.delete_nat_gateway = _delete_nat_gateway(NatGatewayBackend.delete_nat_gateway)
    SubnetBackend.delete_subnet = _delete_subnet(SubnetBackend.delete_subnet)
    SecurityGroupBackend.delete_security_group = _delete_security_group(SecurityGroupBackend.delete_security_group)
    ElasticAddressBackend.release_address = _release_address(ElasticAddressBackend.release_address)
    VPCBackend.delete_vpc = _delete_vpc(VPCBackend.delete_vpc)


def _run_instances(run: Callable[..., Any]) -> Callable[..., Any]:
    def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
        reservation = run(self, *args, **kwargs)
        for instance in reservation.instances:
            # The interface that a launch makes ends with the instance; moto's terminate does the rest.
            for interface in instance.nics.values():
                if interface.description == "Primary network interface":
                    interface.delete_on_termination = True
        return reservation

    return run_instances


def _delete_nat_gateway(delete: Callable[..., Any]) -> Callable[..., Any]:
    def delete_nat_gateway(self: Any, nat_gateway_id: str) -> Any:
        if nat_gateway_id not in self.nat_gateways:
            raise _Refusal("NatGatewayNotFound", f"NatGateway {nat_gateway_id} was not found")
        gateway = delete(self, nat_gateway_id)
        interface = gateway._eni
        for address in self.addresses:
            if address.eni is interface:
                self.disassociate_address(association_id=address.association_id)
        self.enis.pop(interface.id, None)
        return gateway

    return delete_nat_gateway


def _delete_subnet(delete: Callable[..., Any]) -> Callable[..., Any]:
    def delete_subnet(self: Any, subnet_id: str) -> Any:
        if any(interface.subnet.id == subnet_id for interface in list(self.enis.values())):
            raise _in_use(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        subnet = delete(self, subnet_id)
        for table in list(self.route_tables.values()):
            for association in [key for key, target in table._associations.items() if target == subnet_id]:
                del table._associations[association]
        return subnet

    return delete_subnet


def _delete_security_group(delete: Callable[..., Any]) -> Callable[..., Any]:
    def delete_security_group(self: Any, name: str | None = None, group_id: str | None = None) -> Any:
        used = any(group_id in _groups(interface) for interface in list(self.enis.values()))
        if used or group_id in _referenced(self, group_id):
            raise _in_use(f"resource {group_id} has a dependent object")
        return delete(self, name=name, group_id=group_id)

    return delete_security_group


def _groups(interface: Any) -> set[str]:
    return {group.id for group in interface.group_set}


def _referenced(backend: Any, own: str | None) -> set[str]:
    """Security groups that the rules of groups other than `own` name."""
    others = [group for groups in list(backend.groups.values()) for group in groups.values() if group.id != own]
    rules = [rule for group in others for rule in (*group.ingress_rules, *group.egress_rules)]
    return {rule.source_group["GroupId"] for rule in rules if (rule.source_group or {}).get("GroupId")}


def _release_address(release: Callable[..., Any]) -> Callable[..., Any]:
    def release_address(self: Any, address: str | None = None, allocation_id: str | None = None) -> Any:
        for known in self.addresses:
            if known.allocation_id == allocation_id and allocation_id and known.association_id:
                raise _Refusal("InvalidIPAddress.InUse", f"Address {known.public_ip} is in use.")
        return release(self, address=address, allocation_id=allocation_id)

    return release_address


def _delete_vpc(delete: Callable[..., Any]) -> Callable[..., Any]:
    def delete_vpc(self: Any, vpc_id: str) -> Any:
        if any(_left(self, vpc_id)):
            raise _in_use(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        return delete(self, vpc_id)

    return delete_vpc


def _left(backend: Any, vpc_id: str) -> Iterable[object]:
    """What of a VPC must go before it; moto itself looks at subnets, route tables and VPN gateways."""
    yield from (
        gateway for gateway in list(backend.internet_gateways.values()) if gateway.vpc and gateway.vpc.id == vpc_id
    )
    yield from (group for group in backend.groups.get(vpc_id, {}).values() if group.name != "default")
    yield from (interface for interface in list(backend.enis.values()) if interface.subnet.vpc_id == vpc_id)


def _in_use(message: str) -> _Refusal:
    return _Refusal("DependencyViolation", message)
