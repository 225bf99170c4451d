"""Puts the EC2 of this package into moto."""

from __future__ import annotations

from collections.abc import Callable

from moto.backends import get_backend
from moto.core.responses import BaseResponse
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses import EC2Response

from sandbox.aws.ec2 import images, network
from sandbox.aws.ec2.capacity import Capacity
from sandbox.aws.ec2.fleet import fleet_action
from sandbox.aws.ec2.lifecycle import InstanceEvents
from sandbox.aws.ec2.missing_actions import answering
from sandbox.aws.ec2.spot_history import describe_spot_price_history
from sandbox.aws.events import EventInjector

__all__ = ["install"]


def install(
    account: str, region: str, capacity: Capacity, events: EventInjector, ended: Callable[[], None]
) -> InstanceEvents:
    """Replace and wrap moto's actions and seed its back end; once in a process.

    Args:
        ended: called after instances were terminated.
    """
    instance_events = InstanceEvents(lambda: get_backend("ec2")[account][region], events.put, ended)
    BaseResponse.call_action = answering(BaseResponse.call_action)
    EC2Response.create_fleet = fleet_action(EC2Response.create_fleet, capacity)
    EC2Response.describe_spot_price_history = describe_spot_price_history
    network.install()
    InstanceBackend.run_instances = instance_events.wrap_run(InstanceBackend.run_instances)
    for name, states in {
        "start_instances": ("pending", "running"),
        "stop_instances": ("stopping", "stopped"),
        "terminate_instances": ("shutting-down", "terminated"),
    }.items():
        setattr(InstanceBackend, name, instance_events.wrap_change(getattr(InstanceBackend, name), *states))
    images.seed(account, region)
    return instance_events
