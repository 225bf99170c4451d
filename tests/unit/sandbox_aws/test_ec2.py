"""Fleets, capacity, images, prices and events of instances, through boto3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.aws.ec2.devices import merged

Aws = Callable[[str], Any]
Send = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def image(aws: Aws) -> str:
    name = "/aws/service/bottlerocket/aws-k8s-1.35-nvidia/x86_64/latest/image_id"
    return str(aws("ssm").get_parameter(Name=name)["Parameter"]["Value"])


@pytest.fixture(scope="module")
def group(aws: Aws, subnets: list[dict[str, Any]]) -> str:
    made = aws("ec2").create_security_group(GroupName="nodes", Description="nodes", VpcId=subnets[0]["VpcId"])
    return str(made["GroupId"])


@pytest.fixture
def template(aws: Aws, image: str, group: str) -> Iterator[str]:
    device = {"VolumeSize": 60, "VolumeType": "gp3", "Throughput": 300, "Iops": 4000, "DeleteOnTermination": True}
    data = {
        "ImageId": image,
        "InstanceType": "g5.xlarge",
        "SecurityGroupIds": [group],
        "UserData": "eA==",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvdb", "Ebs": device}],
        "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "volume", "Value": "1"}]}],
    }
    ec2 = aws("ec2")
    made = ec2.create_launch_template(LaunchTemplateName="nodes", LaunchTemplateData=data)["LaunchTemplate"]
    yield made["LaunchTemplateId"]
    ec2.delete_launch_template(LaunchTemplateId=made["LaunchTemplateId"])


def fleet(aws: Aws, template: str, overrides: list[dict[str, Any]], count: int = 1, **kwargs: Any) -> dict[str, Any]:
    capacity = {"TotalTargetCapacity": count, "DefaultTargetCapacityType": kwargs.pop("lifecycle", "spot")}
    specification = {"LaunchTemplateId": template, "Version": "$Latest"}
    made: dict[str, Any] = aws("ec2").create_fleet(
        Type="instant",
        TargetCapacitySpecification=capacity,
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": specification, "Overrides": overrides}],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "owner", "Value": "karpenter"}]},
            {"ResourceType": "fleet", "Tags": [{"Key": "fleet", "Value": "only"}]},
        ],
        **kwargs,
    )
    return made


def described(aws: Aws, instance_id: str) -> dict[str, Any]:
    reservation = aws("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0]
    return dict(reservation["Instances"][0])


def test_a_fleet_launches_what_the_template_says(
    aws: Aws, template: str, group: str, image: str, subnets: list[dict[str, Any]]
) -> None:
    made = fleet(aws, template, [{"InstanceType": "g6.xlarge", "SubnetId": subnets[1]["SubnetId"]}])
    assert made["Errors"] == []
    (launched,) = made["Instances"]
    assert (launched["InstanceType"], launched["Lifecycle"]) == ("g6.xlarge", "spot")
    instance = described(aws, launched["InstanceIds"][0])
    assert (instance["InstanceLifecycle"], instance["ImageId"]) == ("spot", image)
    assert [found["GroupId"] for found in instance["SecurityGroups"]] == [group]
    assert instance["Placement"]["AvailabilityZone"] == subnets[1]["AvailabilityZone"]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert (tags["owner"], tags["aws:ec2launchtemplate:id"], "fleet" in tags) == ("karpenter", template, False)
    devices = {mapping["DeviceName"]: mapping["Ebs"] for mapping in instance["BlockDeviceMappings"]}
    assert list(devices) == ["/dev/xvda", "/dev/xvdb"]
    volume = aws("ec2").describe_volumes(VolumeIds=[devices["/dev/xvdb"]["VolumeId"]])["Volumes"][0]
    assert (volume["Size"], volume["Iops"], volume["Throughput"]) == (60, 4000, 300)
    assert volume["Tags"] == [{"Key": "volume", "Value": "1"}]


def test_a_fleet_on_demand(aws: Aws, template: str, subnets: list[dict[str, Any]]) -> None:
    override = {"InstanceType": "g5.xlarge", "SubnetId": subnets[0]["SubnetId"]}
    (launched,) = fleet(aws, template, [override], lifecycle="on-demand")["Instances"]
    assert "InstanceLifecycle" not in described(aws, launched["InstanceIds"][0])


def test_without_capacity_the_next_pool_is_tried(
    aws: Aws, send: Send, template: str, subnets: list[dict[str, Any]]
) -> None:
    first, second = ({"InstanceType": "g5.xlarge", "SubnetId": subnet["SubnetId"]} for subnet in subnets[:2])
    zones = [subnet["AvailabilityZone"] for subnet in subnets[:2]]
    limits = [
        {"instance_type": "g5.xlarge", "zone": zone, "lifecycle": "spot", "left": left}
        for zone, left in zip(zones, (1, 0), strict=True)
    ]
    assert send("/_sandbox/capacity", limits) == (200, {})
    prioritized = {"AllocationStrategy": "capacity-optimized-prioritized"}
    overrides = [{**second, "Priority": 0.0}, {**first, "Priority": 1.0}]
    made = fleet(aws, template, overrides, count=3, SpotOptions=prioritized)
    assert [len(launched["InstanceIds"]) for launched in made["Instances"]] == [1]
    assert {error["ErrorCode"] for error in made["Errors"]} == {"InsufficientInstanceCapacity"}
    tried = [error["LaunchTemplateAndOverrides"]["Overrides"]["AvailabilityZone"] for error in made["Errors"]]
    assert tried == zones[::-1]
    assert send("/_sandbox/capacity", [{**limit, "left": None} for limit in limits]) == (200, {})
    assert fleet(aws, template, overrides, count=3)["Errors"] == []


def test_a_refused_launch_is_an_error_of_its_pool(aws: Aws, template: str, subnets: list[dict[str, Any]]) -> None:
    override = {"InstanceType": "g5.xlarge", "SubnetId": subnets[0]["SubnetId"], "ImageId": "ami-00000000000000000"}
    made = fleet(aws, template, [override])
    assert made["Instances"] == []
    assert [error["ErrorCode"] for error in made["Errors"]] == ["InvalidAMIID.NotFound"]


@pytest.mark.parametrize("limits", [b"x", {"a": 1}, [{"instance_type": "x"}], [{"zone": "a", "left": "many"}]])
def test_malformed_capacity_is_told(send: Send, limits: object) -> None:
    status, answer = send("/_sandbox/capacity", limits)
    assert status == 400
    assert answer["message"].startswith("Send [")


@pytest.mark.parametrize("variant", ["", "-nvidia"])
@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
@pytest.mark.parametrize("version", ["1.66.0", "latest"])
def test_bottlerocket_parameters_name_images(aws: Aws, variant: str, architecture: str, version: str) -> None:
    prefix = f"/aws/service/bottlerocket/aws-k8s-1.35{variant}/{architecture}/{version}"
    names = [f"{prefix}/image_id", f"{prefix}/image_version"]
    found = {p["Name"]: p["Value"] for p in aws("ssm").get_parameters(Names=names)["Parameters"]}
    assert found[names[1]] == "1.66.0"
    image = aws("ec2").describe_images(ImageIds=[found[names[0]]])["Images"][0]
    assert (image["Architecture"], image["State"]) == (architecture, "available")
    assert ("nvidia" in image["Name"]) == (variant == "-nvidia")
    assert [device["DeviceName"] for device in image["BlockDeviceMappings"]] == ["/dev/xvda", "/dev/xvdb"]


def test_spot_prices_differ_by_zone_and_come_in_pages(aws: Aws) -> None:
    ec2 = aws("ec2")
    page = ec2.describe_spot_price_history(ProductDescriptions=["Linux/UNIX"], MaxResults=7)
    assert len(page["SpotPriceHistory"]) == 7
    following = ec2.describe_spot_price_history(MaxResults=7, NextToken=page["NextToken"])["SpotPriceHistory"]
    offers = [(price["InstanceType"], price["AvailabilityZone"]) for price in page["SpotPriceHistory"] + following]
    assert len(set(offers)) == 14
    prices = ec2.describe_spot_price_history(InstanceTypes=["g5.xlarge"])["SpotPriceHistory"]
    values = [float(price["SpotPrice"]) for price in prices]
    assert len(set(values)) == len(values) > 2
    assert all(0.3 < value < 0.5 for value in values)
    zone = prices[0]["AvailabilityZone"]
    assert (
        len(ec2.describe_spot_price_history(InstanceTypes=["g5.xlarge"], AvailabilityZone=zone)["SpotPriceHistory"])
        == 1
    )


def test_an_interruption_warns_and_then_terminates(
    aws: Aws,
    send: Send,
    template: str,
    subnets: list[dict[str, Any]],
    received: Callable[..., list[dict[str, Any]]],
) -> None:
    url = aws("sqs").create_queue(QueueName="interruptions")["QueueUrl"]
    arn = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    kinds = ["EC2 Spot Instance Interruption Warning", "EC2 Instance State-change Notification"]
    pattern = {"source": ["aws.ec2"], "detail-type": kinds}
    aws("events").put_rule(Name="interruptions", EventPattern=json.dumps(pattern))
    aws("events").put_targets(Rule="interruptions", Targets=[{"Id": "queue", "Arn": arn}])
    override = {"InstanceType": "g5.xlarge", "SubnetId": subnets[0]["SubnetId"]}
    instance_id = fleet(aws, template, [override])["Instances"][0]["InstanceIds"][0]
    assert send("/_sandbox/spot-interruption", {"instance_id": instance_id, "notice_s": 0}) == (200, {})
    aws("ec2").get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 0.05})
    details = [json.loads(message["Body"])["detail"] for message in received(url, wait_s=2)]
    seen = [
        detail.get("state") or detail["instance-action"] for detail in details if detail["instance-id"] == instance_id
    ]
    assert seen == ["pending", "running", "terminate", "shutting-down", "terminated"]
    aws("events").remove_targets(Rule="interruptions", Ids=["queue"])
    assert send("/_sandbox/spot-interruption", {"instance_id": instance_id})[0] == 404
    assert send("/_sandbox/spot-interruption", {})[0] == 400


def test_block_devices_of_the_template_go_over_the_images() -> None:
    image = [
        {"DeviceName": "/dev/a", "Ebs": {"VolumeSize": 4, "SnapshotId": "snap-1"}},
        {"DeviceName": "/dev/b", "Ebs": {"VolumeSize": 20}},
    ]
    template = [
        {"DeviceName": "/dev/a", "Ebs": {"VolumeSize": "8", "Encrypted": "true", "Iops": "3000"}},
        {"DeviceName": "/dev/b", "NoDevice": ""},
        {"DeviceName": "/dev/c", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": "false"}},
    ]
    assert merged(image, template) == [
        {"DeviceName": "/dev/a", "Ebs": {"VolumeSize": 8, "SnapshotId": "snap-1", "Encrypted": True, "Iops": 3000}},
        {"DeviceName": "/dev/c", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}},
    ]
