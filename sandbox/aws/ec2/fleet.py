"""CreateFleet of type `instant`: pools tried in the order of the allocation strategy, an error for each that fails."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult

from sandbox.aws.ec2 import prices
from sandbox.aws.ec2.capacity import Capacity
from sandbox.aws.ec2.launch import Launch, launch

__all__ = ["fleet_action"]

# moto's records aren't made for launches side by side.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class _Pool:
    """One override of a launch template: a type in a zone."""

    launch: Launch
    shown: Mapping[str, Any]
    priority: float


def fleet_action(moto_fleet: Callable[[Any], Any], capacity: Capacity) -> Callable[[Any], Any]:
    """The action for moto's EC2Response; other fleet types stay moto's."""

    def create_fleet(self: Any) -> Any:
        if self._get_param("Type", "maintain") != "instant":
            return moto_fleet(self)
        self.error_on_dryrun()
        target = self._get_param("TargetCapacitySpecification", {})
        lifecycle = target.get("DefaultTargetCapacityType", "on-demand")
        pools = _pools(self, lifecycle, _tags(self._get_param("TagSpecifications", [])))
        with _ONE_AT_A_TIME:
            instances, errors = _fill(
                self.ec2_backend,
                _in_order(pools, lifecycle, _strategy(self, lifecycle)),
                int(target.get("TotalTargetCapacity", 1)),
                capacity,
            )
        fleet_id = f"fleet-{secrets.token_hex(16)}"
        return ActionResult({"FleetId": fleet_id, "Instances": instances, "Errors": errors})

    return create_fleet


def _strategy(self: Any, lifecycle: str) -> str:
    options = self._get_param("SpotOptions" if lifecycle == "spot" else "OnDemandOptions", {}) or {}
    return str(options.get("AllocationStrategy", "lowest-price"))


def _tags(specifications: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    return {
        specification["ResourceType"]: {tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])}
        for specification in specifications
    }


def _pools(self: Any, lifecycle: str, tags: Mapping[str, Mapping[str, str]]) -> list[_Pool]:
    pools = []
    for config in self._get_param("LaunchTemplateConfigs", []):
        wanted = config["LaunchTemplateSpecification"]
        template, version = _template(self.ec2_backend, wanted)
        chosen = {"LaunchTemplateId": template.id, "Version": str(version.number)}
        for override in config.get("Overrides") or [{}]:
            subnet_id = override.get("SubnetId") or version.data.get("SubnetId")
            zone = (
                self.ec2_backend.get_subnet(subnet_id).availability_zone
                if subnet_id
                else override.get("AvailabilityZone") or f"{self.region}a"
            )
            pools.append(
                _Pool(
                    Launch(
                        data=version.data,
                        instance_type=override.get("InstanceType") or version.data["InstanceType"],
                        image_id=override.get("ImageId") or version.data["ImageId"],
                        subnet_id=subnet_id,
                        zone=zone,
                        lifecycle=lifecycle,
                        template=chosen,
                        tags=_with_template_tags(tags, version.data),
                    ),
                    {"LaunchTemplateSpecification": chosen, "Overrides": {**override, "AvailabilityZone": zone}},
                    float(override.get("Priority") or 0),
                )
            )
    return pools


def _template(backend: Any, wanted: Mapping[str, str]) -> tuple[Any, Any]:
    if wanted.get("LaunchTemplateId"):
        template = backend.get_launch_template(wanted["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(wanted["LaunchTemplateName"])
    return template, template.get_version(wanted.get("Version") or "$Default")


def _with_template_tags(tags: Mapping[str, Mapping[str, str]], data: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """Tags of the call over those of the template; a fleet's own tags don't reach its instances."""
    template = _tags(data.get("TagSpecifications") or [])
    return {kind: {**template.get(kind, {}), **tags.get(kind, {})} for kind in ("instance", "volume")}


def _in_order(pools: Sequence[_Pool], lifecycle: str, strategy: str) -> list[_Pool]:
    """EC2 User Guide, "allocation strategies": by priority where the strategy says so, by price otherwise."""
    if strategy in ("prioritized", "capacity-optimized-prioritized"):
        return sorted(pools, key=lambda pool: pool.priority)
    if lifecycle == "spot":
        return sorted(pools, key=lambda pool: prices.spot(pool.launch.instance_type, pool.launch.zone))
    return sorted(pools, key=lambda pool: prices.on_demand(pool.launch.instance_type))


def _fill(
    backend: Any, pools: Sequence[_Pool], wanted: int, capacity: Capacity
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Launch from the first pool that has capacity, then the next; as many as wanted or as there are."""
    instances: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for pool in pools:
        ids: list[str] = []
        while len(ids) < wanted:
            error = _refusal(pool, capacity)
            if error is None:
                try:
                    ids.append(launch(backend, pool.launch).id)
                    continue
                except ServiceException as refused:
                    error = (str(refused.code), str(refused.message))
            errors.append({**_shown(pool), "ErrorCode": error[0], "ErrorMessage": error[1]})
            break
        if ids:
            wanted -= len(ids)
            instances.append({**_shown(pool), "InstanceType": pool.launch.instance_type, "InstanceIds": ids})
        if wanted <= 0:
            break
    return instances, errors


def _refusal(pool: _Pool, capacity: Capacity) -> tuple[str, str] | None:
    kind, zone = pool.launch.instance_type, pool.launch.zone
    if capacity.take(kind, zone, pool.launch.lifecycle):
        return None
    message = f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone})."
    return "InsufficientInstanceCapacity", message


def _shown(pool: _Pool) -> dict[str, Any]:
    return {"LaunchTemplateAndOverrides": dict(pool.shown), "Lifecycle": pool.launch.lifecycle}
