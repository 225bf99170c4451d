"""One instance launched from a template, with the groups, block devices, profile and tags that moto's fleet drops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.ec2 import devices

__all__ = ["Launch", "launch"]


@dataclass(frozen=True)
class Launch:
    """What to launch.

    Attributes:
        data: a launch template's data, or the same keys put together.
        template: id and version of the template, as RunInstances takes it; empty without one.
        tags: by resource type ("instance", "volume"), over those of the template.
    """

    data: Mapping[str, Any]
    instance_type: str
    image_id: str
    subnet_id: str | None
    zone: str
    lifecycle: str
    template: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def launch(backend: Any, wanted: Launch) -> Any:
    """Start the instance on moto's EC2 back end and return moto's record of it.

    Raises:
        moto's EC2 errors, as RunInstances would answer them.
    """
    image = next(iter(backend.describe_images(ami_ids=[wanted.image_id])))
    mappings = devices.merged(image.block_device_mappings, wanted.data.get("BlockDeviceMappings") or [])
    interface: Mapping[str, Any] = next(iter(wanted.data.get("NetworkInterfaces") or []), {})
    market = {"instance_market_options": "spot"} if wanted.lifecycle == "spot" else {}
    reservation = backend.run_instances(
        wanted.image_id,
        1,
        None,
        [],
        instance_type=wanted.instance_type,
        is_instance_type_default=False,
        region_name=backend.region_name,
        placement=None if wanted.subnet_id else wanted.zone,
        subnet_id=wanted.subnet_id,
        security_group_ids=list(wanted.data.get("SecurityGroupIds") or interface.get("Groups") or []),
        nics=[],
        tags={kind: dict(tags) for kind, tags in wanted.tags.items()},
        launch_template=dict(wanted.template),
        block_device_mappings=mappings,
        metadata_options=wanted.data.get("MetadataOptions") or {},
        **market,
    )
    instance = reservation.instances[0]
    devices.set_performance(backend, instance, mappings)
    profile = wanted.data.get("IamInstanceProfile") or {}
    if profile:
        backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    return instance
