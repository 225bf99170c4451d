"""Requests in, pictures and answers out, through the API, the queues and a pod that was not there before."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from PIL import Image

from sandbox.demo import reference
from sandbox.state import State
from sd_agent.client import Client
from sd_agent.client.errors import RequestRefused

pytestmark = pytest.mark.sandbox

MODEL = "v1-5-pruned-emaonly.safetensors"


def until(what: str, look: Callable[[], Any], seconds: float = 90) -> Any:
    """The first true value of look; fails with what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    pytest.fail(f"{what}: not within {seconds:g} s")


def picture(aws: boto3.Session, url: str) -> Image.Image:
    """The image at an s3:// URL."""
    place = urlsplit(url)
    body = aws.client("s3").get_object(Bucket=place.netloc, Key=place.path[1:])["Body"].read()
    return Image.open(io.BytesIO(body))


@pytest.mark.parametrize("number", [0, 1], ids=["text-to-image", "image-to-image"])
def test_a_reference_request_becomes_a_picture(
    client: Client, aws: boto3.Session, sandbox: State, task_id: str, number: int
) -> None:
    request = reference.requests(sandbox.aws_url)[number]
    request.body["alwayson_scripts"]["id_task"] = task_id
    receipt = client.submit(request.body)
    assert receipt["id_task"] == task_id
    assert receipt["task"] == request.task
    answer = client.wait([task_id], 120)[task_id]
    assert (answer["result"], answer["status"], answer["runtime"]) == (True, "completed", "dedicated")
    assert [url.startswith(receipt["output_location"]) for url in answer["image_url"]] == [True]
    image = picture(aws, answer["image_url"][0])
    assert image.format == "PNG"
    assert image.size == request.size
    assert request.prompt in image.text["parameters"]
    stored = urlsplit(answer["output_url"])
    response = aws.client("s3").get_object(Bucket=stored.netloc, Key=stored.path[1:])["Body"].read()
    assert "info" in json.loads(response)


def test_v1alpha2_names_its_runtime(client: Client, task_id: str) -> None:
    metadata = {"id": task_id, "runtime": "any", "tasktype": "text-to-image", "prefix": "second", "context": {"n": 7}}
    content = {"prompt": "A cat", "steps": 2, "width": 64, "height": 64}
    receipt = client.submit({"task": {"metadata": metadata, "content": content}}, "v1alpha2")
    assert (receipt["id"], receipt["runtime"]) == (task_id, "any")
    answer = client.wait([task_id], 120)[task_id]
    assert (answer["status"], answer["runtime"], answer["context"]) == ("completed", "any", {"n": 7})


def test_the_same_request_twice_is_one_task(client: Client, aws: boto3.Session, task_id: str) -> None:
    body = {
        "alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": MODEL, "id_task": task_id},
        "prompt": "Twins",
        "steps": 1,
        "width": 64,
        "height": 64,
    }
    assert client.submit(body) == client.submit(body)
    with pytest.raises(RequestRefused) as refused:
        client.submit({**body, "prompt": "Not the same"})
    assert (refused.value.status, refused.value.code) == (409, "conflict")
    assert client.wait([task_id], 120)[task_id]["status"] == "completed"
    assert client.submit(body)["id_task"] == task_id


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sd_model_checkpoint": None}, "alwayson_scripts.sd_model_checkpoint"),
        ({"id_task": None}, "alwayson_scripts.id_task"),
        ({"task": "text-to-poem"}, "alwayson_scripts.task"),
        ({"id_task": "../up"}, "alwayson_scripts.id_task"),
    ],
    ids=["no model", "no id", "unknown task", "id with dots"],
)
def test_a_bad_request_is_refused_and_nothing_is_queued(
    client: Client, aws: boto3.Session, task_id: str, change: dict[str, Any], field: str
) -> None:
    scripts = {"task": "text-to-image", "sd_model_checkpoint": MODEL, "id_task": task_id, **change}
    body = {"alwayson_scripts": {k: v for k, v in scripts.items() if v is not None}, "prompt": "No"}
    with pytest.raises(RequestRefused) as refused:
        client.submit(body)
    assert (refused.value.status, refused.value.code) == (400, "invalid_request")
    assert refused.value.field == field
    rows = aws.client("dynamodb").scan(TableName="sd-tasks")["Items"]
    assert task_id not in {row["id"]["S"] for row in rows}


@pytest.mark.parametrize(("body", "id_of_answer"), [("not json", None), ('{"metadata": {"id": "%s"}}', "readable")])
def test_a_message_that_cannot_be_read_goes_to_the_dead_letter_queue_with_a_reason(
    client: Client, aws: boto3.Session, task_id: str, body: str, id_of_answer: str | None
) -> None:
    sqs = aws.client("sqs")
    text = body % task_id if id_of_answer else f"{body} {task_id}"
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="sd-dedicated")["QueueUrl"], MessageBody=text)
    dead = sqs.get_queue_url(QueueName="sd-dedicated-dlq")["QueueUrl"]

    def dead_letter() -> dict[str, Any] | None:
        for message in sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["All"]).get("Messages", []):
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            if task_id in message["Body"]:
                return dict(message)
        return None

    found = until("the dead letter", dead_letter, 120)
    assert found["MessageAttributes"]["reason"]["StringValue"].startswith("invalid_request: ")
    if id_of_answer:
        answer = client.wait([task_id], 60)[task_id]
        assert (answer["status"], answer["error"]["code"]) == ("failed", "invalid_request")


def test_nothing_runs_when_nobody_asks(aws: boto3.Session, client: Client) -> None:
    def karpenters() -> list[str]:
        filters = [
            {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        reservations = aws.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance["InstanceId"] for reservation in reservations for instance in reservation["Instances"]]

    until("every GPU instance gone", lambda: not karpenters(), 150)
