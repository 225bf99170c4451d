"""Bottlerocket images and the SSM parameters that name them (PutParameter refuses names under /aws)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from moto.backends import get_backend
from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter

__all__ = ["BOTTLEROCKET_VERSION", "KUBERNETES_VERSION", "image_parameter", "seed"]

BOTTLEROCKET_VERSION = "1.66.0"
KUBERNETES_VERSION = "1.35"

# The account that publishes Bottlerocket in us-east-1 (bottlerocket.dev, "finding an AMI").
_OWNER = "092701018921"
_VARIANTS = ("", "-nvidia")
_ARCHITECTURES = ("x86_64", "arm64")
# Bottlerocket has a volume for its system and one for containers and images.
_DEVICES = (("/dev/xvda", 4), ("/dev/xvdb", 20))


class _BottlerocketImage(Ami):  # type: ignore[misc]
    """An image with Bottlerocket's two block devices; moto gives every image one of 15 GiB."""

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        return [
            {
                "DeviceName": device,
                "Ebs": {
                    "SnapshotId": self.ebs_snapshot.id,
                    "VolumeSize": size,
                    "VolumeType": "gp3",
                    "DeleteOnTermination": True,
                    "Encrypted": False,
                },
            }
            for device, size in _DEVICES
        ]


def image_parameter(variant: str, architecture: str, version: str = BOTTLEROCKET_VERSION) -> str:
    """Name of the SSM parameter that holds an image's id; `variant` is "" or "-nvidia"."""
    return f"/aws/service/bottlerocket/aws-k8s-{KUBERNETES_VERSION}{variant}/{architecture}/{version}/image_id"


def seed(account: str, region: str) -> None:
    """Add the images and their parameters, by version and as `latest`."""
    ec2, ssm = get_backend("ec2")[account][region], get_backend("ssm")[account][region]
    for variant in _VARIANTS:
        for architecture in _ARCHITECTURES:
            name = f"bottlerocket-aws-k8s-{KUBERNETES_VERSION}{variant}-{architecture}-v{BOTTLEROCKET_VERSION}"
            # The same id in every sandbox: an inventory may name it.
            image_id = f"ami-{hashlib.sha256(name.encode()).hexdigest()[:17]}"
            ec2.amis[image_id] = _BottlerocketImage(
                ec2,
                image_id,
                name=name,
                description=name,
                owner_id=_OWNER,
                owner_alias="amazon",
                public=True,
                virtualization_type="hvm",
                hypervisor="xen",
                architecture=architecture,
                root_device_type="ebs",
                root_device_name=_DEVICES[0][0],
                region_name=f"{region}a",
            )
            for version in (BOTTLEROCKET_VERSION, "latest"):
                _seed_parameter(ssm, account, image_parameter(variant, architecture, version), image_id)
                version_name = image_parameter(variant, architecture, version).replace("image_id", "image_version")
                _seed_parameter(ssm, account, version_name, BOTTLEROCKET_VERSION)


def _seed_parameter(ssm: Any, account: str, name: str, value: str) -> None:
    ssm._parameters[name] = [
        Parameter(
            account_id=account,
            name=name,
            value=value,
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=datetime.now(UTC),
            version=1,
            data_type="text",
        )
    ]
