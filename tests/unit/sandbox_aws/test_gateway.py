"""The gateway's own routes and what it mends between the services."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
Aws = Callable[[str], Any]
Send = Callable[..., tuple[int, Any]]
Received = Callable[..., list[dict[str, Any]]]


def test_health(send: Send) -> None:
    assert send("/_sandbox/health") == (200, {"status": "ok"})


def test_the_demo_input_is_a_picture(send: Send) -> None:
    status, body = send("/_sandbox/input/sd-img2img-input.jpeg")
    picture = Image.open(io.BytesIO(body))
    assert (status, picture.format, picture.size) == (200, "JPEG", (768, 512))
    assert len(picture.getcolors(1 << 20) or []) > 1000
    assert send("/_sandbox/input/secret.txt")[0] == 404


def test_iam_is_mirrored_to_ec2(aws: Aws, subnets: list[dict[str, Any]]) -> None:
    iam, ec2 = aws("iam"), aws("ec2")
    iam.create_role(RoleName="mirrored", Path="/team/", AssumeRolePolicyDocument=TRUST)
    profile = iam.create_instance_profile(InstanceProfileName="mirrored")["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName="mirrored", RoleName="mirrored")
    image = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "name", "Values": ["bottlerocket*"]}])["Images"][0]
    run = {"ImageId": image["ImageId"], "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1}
    instance = ec2.run_instances(**run, IamInstanceProfile={"Name": "mirrored"})["Instances"][0]
    found = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert found["IamInstanceProfile"]["Arn"] == profile["Arn"]
    iam.remove_role_from_instance_profile(InstanceProfileName="mirrored", RoleName="mirrored")
    iam.delete_instance_profile(InstanceProfileName="mirrored")
    with pytest.raises(ec2.exceptions.ClientError, match="mirrored"):
        ec2.run_instances(**run, IamInstanceProfile={"Name": "mirrored"})
    iam.delete_role(RoleName="mirrored")


def test_missing_actions_are_refused_at_once(aws: Aws) -> None:
    with pytest.raises(aws("ec2").exceptions.ClientError, match=r"InvalidAction.*lock_snapshot") as caught:
        aws("ec2").lock_snapshot(SnapshotId="snap-1", LockMode="governance", LockDuration=1)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(aws("ssm").exceptions.ClientError, match="UnknownOperationException"):
        aws("ssm").describe_instance_information()


def test_events_of_aws_services_reach_the_queue_of_a_rule(aws: Aws, send: Send, received: Received) -> None:
    url, arn = queue(aws, "events")
    pattern = {"source": ["aws.health"], "detail-type": ["AWS Health Event"]}
    aws("events").put_rule(Name="health", EventPattern=json.dumps(pattern))
    aws("events").put_targets(Rule="health", Targets=[{"Id": "queue", "Arn": arn}])
    event = {"source": "aws.health", "detail_type": "AWS Health Event", "detail": {"a": 1}, "resources": ["arn:x"]}
    assert send("/_sandbox/events", event) == (200, {})
    assert send("/_sandbox/events", {**event, "source": "aws.other"}) == (200, {})
    (message,) = received(url, wait_s=2)
    body = json.loads(message["Body"])
    assert (body["source"], body["detail"], body["resources"]) == ("aws.health", {"a": 1}, ["arn:x"])
    assert (body["account"], body["region"]) == ("123456789012", "us-east-1")


@pytest.mark.parametrize(
    "event", [b"no json", {"source": "aws.ec2"}, ["x"], {"source": 1, "detail_type": 2, "detail": 3}]
)
def test_a_malformed_event_is_told(send: Send, event: object) -> None:
    status, answer = send("/_sandbox/events", event)
    assert status == 400
    assert answer["message"].startswith("Send source, detail_type, detail, resources")


def test_a_trace_header_goes_through_sns_into_the_queue(
    aws: Aws, connect: Callable[..., Any], received: Received
) -> None:
    url, arn = queue(aws, "traced")
    topic = aws("sns").create_topic(Name="traced")["TopicArn"]
    aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    tracing = connect("sns")
    tracing.meta.events.register(
        "before-sign.sns.Publish", lambda request, **_ignored: request.headers.add_header("X-Amzn-Trace-Id", trace)
    )
    tracing.publish(TopicArn=topic, Message="with")
    aws("sns").publish(TopicArn=topic, Message="without")
    found = {json.loads(m["Body"])["Message"]: m["Attributes"].get("AWSTraceHeader") for m in received(url, wait_s=2)}
    assert found == {"with": trace, "without": None}


def test_proxy_events_tell_whose_key_it_was(aws: Aws, send: Send) -> None:
    handler = "import json\ndef handler(event, context):\n    return {'statusCode': 200, 'body': json.dumps(event)}\n"
    api, key = rest_api(aws, handler)
    status, event = send(f"/_aws/execute-api/{api}/prod/keyed", {}, headers={"x-api-key": key["value"]})
    identity = event["requestContext"]["identity"]
    assert (status, identity["apiKey"], identity["apiKeyId"]) == (200, key["value"], key["id"])
    host = {"host": f"{api}.execute-api.us-east-1.amazonaws.com", "x-api-key": key["value"]}
    assert send("/prod/keyed", {}, headers=host)[0] == 200
    assert send("/prod/keyed", {}, headers={**host, "x-api-key": "wrong"})[0] == 403
    status, event = send(f"/_aws/execute-api/{api}/prod/open", {}, headers={"x-api-key": key["value"]})
    assert event["requestContext"]["identity"]["apiKey"] is None
    assert event["headers"]["X-Amzn-Trace-Id"].startswith("Root=1-")


def test_tags_of_an_api_its_stage_and_its_keys_are_shown(aws: Aws) -> None:
    gateway = aws("apigateway")
    api = gateway.create_rest_api(name="tagged", tags={"a": "1"})["id"]
    resource = gateway.get_resources(restApiId=api)["items"][0]["id"]
    gateway.put_method(restApiId=api, resourceId=resource, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(restApiId=api, resourceId=resource, httpMethod="GET", type="MOCK")
    gateway.create_deployment(restApiId=api, stageName="prod")
    key = gateway.create_api_key(name="tagged", tags={"a": "1"})["id"]
    for path, show in (
        (f"restapis/{api}", lambda: gateway.get_rest_api(restApiId=api)),
        (f"restapis/{api}/stages/prod", lambda: gateway.get_stage(restApiId=api, stageName="prod")),
        (f"apikeys/{key}", lambda: gateway.get_api_key(apiKey=key)),
    ):
        arn = f"arn:aws:apigateway:us-east-1::/{path}"
        gateway.tag_resource(resourceArn=arn, tags={"a": "2", "b": "3"})
        assert show()["tags"] == gateway.get_tags(resourceArn=arn)["tags"] == {"a": "2", "b": "3"}
        gateway.untag_resource(resourceArn=arn, tagKeys=["a"])
        assert show()["tags"] == {"b": "3"}
    with pytest.raises(gateway.exceptions.NotFoundException):
        gateway.tag_resource(resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{api}/stages/none", tags={"a": "1"})
    gateway.delete_rest_api(restApiId=api)


def queue(aws: Aws, name: str) -> tuple[str, str]:
    url = aws("sqs").create_queue(QueueName=name)["QueueUrl"]
    attributes = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return url, attributes["QueueArn"]


def rest_api(aws: Aws, source: str) -> tuple[str, dict[str, Any]]:
    """A REST API with POST /keyed and /open in front of a function, and a key for it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("h.py", source)
    role = aws("iam").create_role(RoleName="function", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    function = aws("lambda").create_function(
        FunctionName="echo", Runtime="python3.13", Handler="h.handler", Role=role, Code={"ZipFile": archive.getvalue()}
    )["FunctionArn"]
    gateway = aws("apigateway")
    api = gateway.create_rest_api(name="echo")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    for path, keyed in (("keyed", True), ("open", False)):
        resource = gateway.create_resource(restApiId=api, parentId=root, pathPart=path)["id"]
        where = {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}
        gateway.put_method(**where, authorizationType="NONE", apiKeyRequired=keyed)
        uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
        gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="prod")
    key = gateway.create_api_key(name="tenant", enabled=True)
    plan = gateway.create_usage_plan(name="plan", apiStages=[{"apiId": api, "stage": "prod"}])["id"]
    gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    return api, key
