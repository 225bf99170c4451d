"""The IAM policies that roles give to workloads: least privilege as a property, not as a promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
# Sum of all inline policies of a role, white space not counted:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE_LONGEST = 10240
# Actions that know no resource, or only one that does not exist before the call.
ANY_RESOURCE = {"pricing:GetProducts", "iam:ListInstanceProfiles"}

VARIABLES = {
    "autoscaling_partition": "aws",
    "autoscaling_region": "us-east-1",
    "autoscaling_account": "123456789012",
    "autoscaling_cluster": "sd",
    "autoscaling_node_role": "sd-node",
    "__autoscaling_queue_arn": "arn:aws:sqs:us-east-1:123456789012:sd-karpenter",
    "runtime_partition": "aws-cn",
    "runtime_region": "cn-north-1",
    "runtime_account": "123456789012",
    "runtime_name": "sd",
    "runtime_output_topic_arn": "arn:aws-cn:sns:cn-north-1:123456789012:sd-output",
    "runtime_error_topic_arn": "",
    "runtime_bucket": "sd-outputs",
    "runtime_task_table": "sd-tasks",
    "__runtime_tags": {"a": "b"},
    "__runtime_chosen": [{"name": "one"}, {"name": "two"}],
}


def rendered(path: str, **changes: str) -> Any:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["to_json"] = lambda value: json.dumps(list(value) if hasattr(value, "__next__") else value)
    return yaml.safe_load(environment.from_string((ROLES / path).read_text()).render(VARIABLES | changes))


def karpenter() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rendered("autoscaling/templates/karpenter-policy.yml.j2")
    return found


def agents() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rendered("runtime/templates/agent-roles.yml.j2")
    return found


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("statements", [karpenter(), agents()[0]["policies"]["agent"]], ids=["karpenter", "agent"])
def test_no_wildcard_without_a_condition(statements: list[dict[str, Any]]) -> None:
    assert len({statement["Sid"] for statement in statements}) == len(statements)
    for statement in statements:
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        assert not [action for action in actions if "*" in action], statement["Sid"]
        if "*" in resources and not set(actions) <= ANY_RESOURCE:
            assert statement.get("Condition"), statement["Sid"]


def test_what_karpenter_makes_and_ends_is_its_own() -> None:
    writing = ("Create", "Terminate", "Delete", "Tag", "Add", "Remove")
    for statement in karpenter():
        words = [action.partition(":")[2] for action in listed(statement["Action"])]
        if any(word.startswith(writing) for word in words) and statement["Sid"] not in (
            "LaunchFrom",
            "HearOfInterruptions",
            "MakeSpotsOwnRole",
        ):
            assert "kubernetes.io/cluster/sd" in json.dumps(statement["Condition"]), statement["Sid"]


def test_karpenters_policy_fits() -> None:
    assert len("".join(json.dumps(karpenter()).split())) < INLINE_LONGEST


def test_an_agent_reaches_only_its_own_queue() -> None:
    for role in agents():
        text = json.dumps(role["policies"])
        other = {"sd-one-agent": "sd-two", "sd-two-agent": "sd-one"}[role["name"]]
        assert other not in text
        assert "arn:aws:" not in text, "ARNs by partition"


def test_an_agent_publishes_to_the_topics_of_answers_only() -> None:
    errors = "arn:aws-cn:sns:cn-north-1:123456789012:errors"
    output = VARIABLES["runtime_output_topic_arn"]
    for given, expected in (("", [output]), (errors, [output, errors]), (str(output), [output])):
        [role, _ignored] = rendered("runtime/templates/agent-roles.yml.j2", runtime_error_topic_arn=given)
        [statement] = [entry for entry in role["policies"]["agent"] if entry["Action"] == "sns:Publish"]
        assert statement["Resource"] == expected
