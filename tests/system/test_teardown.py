"""teardown.yml, after everything else (files run in the order of their names): what site.yml made is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from support.shell import Shell

pytestmark = pytest.mark.sandbox

NAME = "stable_diffusion.eks/name"


def listing(aws: boto3.Session) -> dict[str, set[str]]:
    """What of the system is left, by kind; instances that end count as gone."""
    ec2, iam = aws.client("ec2"), aws.client("iam")
    ours = [{"Name": f"tag:{NAME}", "Values": ["sd"]}]
    looks: dict[str, Callable[[], list[Any]]] = {
        "queues": lambda: aws.client("sqs").list_queues(QueueNamePrefix="sd-").get("QueueUrls", []),
        "topics": lambda: [t["TopicArn"] for t in aws.client("sns").list_topics()["Topics"]],
        "buckets": lambda: [b["Name"] for b in aws.client("s3").list_buckets()["Buckets"]],
        "tables": lambda: aws.client("dynamodb").list_tables()["TableNames"],
        "functions": lambda: [f["FunctionName"] for f in aws.client("lambda").list_functions()["Functions"]],
        "apis": lambda: [a["name"] for a in aws.client("apigateway").get_rest_apis()["items"]],
        "api keys": lambda: [k["name"] for k in aws.client("apigateway").get_api_keys()["items"]],
        "clusters": lambda: aws.client("eks").list_clusters()["clusters"],
        "rules": lambda: [r["Name"] for r in aws.client("events").list_rules()["Rules"]],
        "roles": lambda: [r["RoleName"] for r in iam.list_roles()["Roles"] if r["RoleName"].startswith("sd-")],
        "profiles": lambda: [p["InstanceProfileName"] for p in iam.list_instance_profiles()["InstanceProfiles"]],
        "launch templates": lambda: [
            t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"]
        ],
        "VPCs": lambda: [v["VpcId"] for v in ec2.describe_vpcs(Filters=ours)["Vpcs"]],
        "security groups": lambda: [g["GroupId"] for g in ec2.describe_security_groups(Filters=ours)["SecurityGroups"]],
        "addresses": lambda: [a["AllocationId"] for a in ec2.describe_addresses()["Addresses"]],
        "instances": lambda: [
            i["InstanceId"]
            for r in ec2.describe_instances()["Reservations"]
            for i in r["Instances"]
            if i["State"]["Name"] in ("pending", "running")
        ],
    }
    return {kind: set(look()) for kind, look in looks.items()}


def test_teardown_asks_first(shell: Shell, aws: boto3.Session) -> None:
    before = listing(aws)
    assert "Nothing was deleted" in shell.playbook("teardown", check=False)
    assert listing(aws) == before


def test_teardown_keeps_models_and_outputs_and_nothing_else(shell: Shell, aws: boto3.Session) -> None:
    shell.playbook("teardown", "--extra-vars", "sd_teardown_confirm=true")
    left = {kind: found for kind, found in listing(aws).items() if found}
    assert left == {"buckets": {"sd-models-123456789012-us-east-1", "sd-outputs-123456789012-us-east-1"}}


def test_teardown_of_what_is_gone_changes_nothing(shell: Shell) -> None:
    assert "changed=0" in shell.playbook("teardown", "--extra-vars", "sd_teardown_confirm=true")


def test_teardown_takes_the_buckets_too_where_nothing_is_to_be_kept(shell: Shell, aws: boto3.Session) -> None:
    shell.playbook("teardown", "--extra-vars", '{"sd_teardown_confirm": true, "sd_keep": []}')
    assert {kind: found for kind, found in listing(aws).items() if found} == {}
