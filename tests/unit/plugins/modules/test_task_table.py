"""task_table against a client that keeps one table."""

from __future__ import annotations

import functools

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils import waiters
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.modules import task_table
from ansible_collections.stable_diffusion.eks.plugins.modules.task_table import INDEXES, apply, plan, read
from botocore.exceptions import ClientError

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/sd-tasks"
WANTED = {
    "key": ["tenant", "id"],
    "indexes": INDEXES,
    "billing": "PAY_PER_REQUEST",
    "expiry": "expires_at",
    "deletion_protection": False,
    "point_in_time_recovery": True,
    "tags": {"team": "images"},
}


class Table:
    """As much of DynamoDB's control plane as one table needs."""

    def __init__(self):
        self.table = None
        self.expiry = {"TimeToLiveStatus": "DISABLED"}
        self.recovery = "DISABLED"
        self.tags = {}

    def create_table(self, *, Tags, BillingMode, **kwargs):
        for index in kwargs["GlobalSecondaryIndexes"]:
            index["IndexStatus"] = "ACTIVE"
        self.table = {**kwargs, "TableStatus": "ACTIVE", "BillingModeSummary": {"BillingMode": BillingMode}}
        self.tags = {tag["Key"]: tag["Value"] for tag in Tags}

    def update_table(self, *, TableName, GlobalSecondaryIndexUpdates=(), AttributeDefinitions=(), **settings):
        self.table.update(settings)
        assert len(GlobalSecondaryIndexUpdates) <= 1  # DynamoDB takes one at a time
        for update in GlobalSecondaryIndexUpdates:
            index = update["Create"]
            defined = {attribute["AttributeName"] for attribute in AttributeDefinitions}
            assert {part["AttributeName"] for part in index["KeySchema"]} <= defined
            self.table["GlobalSecondaryIndexes"].append({**index, "IndexStatus": "ACTIVE"})

    def delete_table(self, *, TableName):
        self.table = None

    def describe_table(self, *, TableName):
        if self.table is None:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "DescribeTable")
        return {"Table": self.table}

    def describe_time_to_live(self, *, TableName):
        return {"TimeToLiveDescription": self.expiry}

    def update_time_to_live(self, *, TableName, TimeToLiveSpecification):
        self.expiry = {"TimeToLiveStatus": "ENABLING", "AttributeName": TimeToLiveSpecification["AttributeName"]}

    def describe_continuous_backups(self, *, TableName):
        recovery = {"PointInTimeRecoveryStatus": self.recovery}
        description = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
        return {"ContinuousBackupsDescription": description}

    def update_continuous_backups(self, *, TableName, PointInTimeRecoverySpecification):
        enabled = PointInTimeRecoverySpecification["PointInTimeRecoveryEnabled"]
        self.recovery = "ENABLED" if enabled else "DISABLED"

    def list_tags_of_resource(self, *, ResourceArn):
        return {"Tags": [{"Key": name, "Value": value} for name, value in self.tags.items()]}

    def tag_resource(self, *, ResourceArn, Tags):
        self.tags.update({tag["Key"]: tag["Value"] for tag in Tags})

    def untag_resource(self, *, ResourceArn, TagKeys):
        for key in TagKeys:
            del self.tags[key]


def converge(table, wanted):
    changes = plan("sd-tasks", read(table, "sd-tasks", ARN), wanted)
    for change in changes:
        apply(table, ARN, change, 10)
    return [str(change) for change in changes]


def test_it_is_made_once_and_goes_once():
    table = Table()
    assert converge(table, WANTED) == ["create table sd-tasks"]
    assert read(table, "sd-tasks", ARN) == WANTED
    assert converge(table, WANTED) == []
    assert converge(table, None) == ["delete table sd-tasks"]
    assert converge(table, None) == []


@pytest.mark.parametrize(
    "difference",
    [
        {"point_in_time_recovery": False},
        {"deletion_protection": True},
        {"tags": {"team": "other", "more": "1"}},
        {"tags": {}},
    ],
)
def test_what_can_change_is_changed_in_place(difference):
    table = Table()
    converge(table, WANTED)
    assert converge(table, {**WANTED, **difference}) == ["update table sd-tasks"]
    assert read(table, "sd-tasks", ARN) == {**WANTED, **difference}


def test_an_older_table_gets_its_indexes_in_place():
    table = Table()
    converge(table, WANTED)
    foreign = {**table.table["GlobalSecondaryIndexes"][0], "IndexName": "theirs"}
    table.table["GlobalSecondaryIndexes"] = [foreign]
    assert converge(table, WANTED) == ["update table sd-tasks"]
    assert read(table, "sd-tasks", ARN) == WANTED
    assert foreign in table.table["GlobalSecondaryIndexes"]
    assert converge(table, WANTED) == []


@pytest.mark.parametrize(
    ("current", "wanted", "message"),
    [
        ({"key": ["id"]}, WANTED, r"table sd-tasks has the key \['id'\], which DynamoDB can't change"),
        ({"indexes": {"due": {"key": ["x"], "holds": []}}}, WANTED, "table sd-tasks has another index called due"),
        ({"expiry": "ttl"}, WANTED, "table sd-tasks lets rows expire by ttl, not by expires_at"),
        ({"deletion_protection": True}, None, "table sd-tasks is protected against deletion"),
    ],
)
def test_what_cannot_change_is_refused(current, wanted, message):
    with pytest.raises(BadInput, match=message):
        plan("sd-tasks", {**WANTED, **current}, wanted)


def test_what_an_earlier_run_began_is_seen_through(monkeypatch):
    answers = [{"Table": {"TableStatus": "CREATING"}}, {"Table": {"TableStatus": "ACTIVE"}}]
    table = Table()
    table.describe_table = lambda **kwargs: answers.pop(0)
    monkeypatch.setattr(task_table, "wait", functools.partial(waiters.wait, pause=lambda seconds: None))
    task_table.settled(table, "sd-tasks", 60)
    assert not answers
