"""A burst over both runtimes, with a Spot notice in the middle: each task one answer and one set of images.

SOAK_TASKS says how many tasks; `make soak` sends many.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
import uuid
from collections import Counter
from typing import Any

import boto3
import pytest

from sandbox.state import State
from sd_agent.client import Client

pytestmark = pytest.mark.sandbox

TASKS = int(os.environ.get("SOAK_TASKS", "24"))
# A cold node, its replacement after the notice, and half a second for each task.
DEADLINE_S = 240 + TASKS / 2
MODELS = ("v1-5-pruned-emaonly.safetensors", "sd_xl_base_1.0.safetensors")


def body(task_id: str, number: int) -> dict[str, Any]:
    """A short task, alternately for the dedicated and the dynamic runtime."""
    scripts = {"task": "text-to-image", "sd_model_checkpoint": MODELS[number % 2], "id_task": task_id}
    return {"alwayson_scripts": scripts, "prompt": f"Number {number}", "steps": 20, "width": 64, "height": 64}


def busy_instance(aws: boto3.Session) -> str | None:
    """A running instance that Karpenter launched, if there is one."""
    filters = [
        {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    reservations = aws.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return next((i["InstanceId"] for r in reservations for i in r["Instances"]), None)


def give_notice(sandbox: State, instance: str) -> None:
    """What EventBridge tells two minutes before AWS takes a Spot instance back (here: in ten seconds)."""
    request = urllib.request.Request(
        f"{sandbox.aws_url}/_sandbox/spot-interruption",
        data=json.dumps({"instance_id": instance, "notice_s": 10}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def received(aws: boto3.Session) -> list[dict[str, Any]]:
    """The answers that came in the last second, copies included, taken off the subscriber's queue."""
    sqs = aws.client("sqs")
    queue = sqs.get_queue_url(QueueName="sd-answers-demo")["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(json.loads(message["Body"])["Message"]) for message in messages]


def test_a_burst_is_answered_once_each_although_a_node_is_taken(
    client: Client, aws: boto3.Session, sandbox: State
) -> None:
    ids = [f"burst-{uuid.uuid4().hex}" for _ignored in range(TASKS)]
    for number, task_id in enumerate(ids):
        client.submit(body(task_id, number))

    answers: Counter[str] = Counter()
    end = time.monotonic() + DEADLINE_S
    taken = False
    while len(answers) < TASKS:
        assert time.monotonic() < end, f"{TASKS - len(answers)} of {TASKS} tasks without an answer"
        if not taken and (instance := busy_instance(aws)):
            give_notice(sandbox, instance)
            taken = True
        for answer in received(aws):
            if answer["id"] in ids:
                answers[answer["id"]] += 1
                assert answer["status"] == "completed", answer

    assert taken
    assert set(answers.values()) == {1}
    pages = aws.client("s3").get_paginator("list_objects_v2")
    listed = pages.paginate(Bucket="sd-outputs-123456789012-us-east-1", Prefix="demo/outputs/burst-")
    keys = [entry["Key"] for page in listed for entry in page.get("Contents", [])]
    images = Counter(key.split("/")[-2] for key in keys if key.endswith(".png"))
    assert {task_id: images[task_id] for task_id in ids} == dict.fromkeys(ids, 1)
