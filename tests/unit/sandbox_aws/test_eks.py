"""The EKS API with a cluster behind it: rules, node groups with instances, updates, tokens, Pod Identity."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.aws.eks.tokens import TokenError, caller_arn
from sandbox.state import State

Aws = Callable[[str], Any]
Send = Callable[..., tuple[int, Any]]
CLUSTER = "sd"


def trust(*services: str, actions: tuple[str, ...] = ("sts:AssumeRole",)) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": list(actions)}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def role(aws: Aws) -> str:
    made = aws("iam").create_role(RoleName="eks", AssumeRolePolicyDocument=trust("eks.amazonaws.com"))
    return str(made["Role"]["Arn"])


@pytest.fixture(scope="module")
def cluster(aws: Aws, role: str, subnets: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    eks = aws("eks")
    ids = [subnet["SubnetId"] for subnet in subnets[:2]]
    eks.create_cluster(
        name=CLUSTER,
        roleArn=role,
        resourcesVpcConfig={"subnetIds": ids},
        accessConfig={"authenticationMode": "API"},
        upgradePolicy={"supportType": "STANDARD"},
    )
    eks.get_waiter("cluster_active").wait(name=CLUSTER, WaiterConfig={"Delay": 0})
    eks.create_addon(clusterName=CLUSTER, addonName="kube-proxy")
    yield eks.describe_cluster(name=CLUSTER)["cluster"]
    eks.delete_cluster(name=CLUSTER)
    groups = aws("ec2").describe_security_groups()["SecurityGroups"]
    assert not [group for group in groups if group["GroupName"].startswith("eks-cluster-sg")]
    eks.create_cluster(name=CLUSTER, roleArn=role, resourcesVpcConfig={"subnetIds": ids})
    assert eks.list_addons(clusterName=CLUSTER)["addons"] == []
    eks.delete_cluster(name=CLUSTER)


def test_the_cluster_is_the_local_one(
    aws: Aws, state: State, cluster: dict[str, Any], subnets: list[dict[str, Any]]
) -> None:
    assert cluster["endpoint"] == state.api_url
    assert base64.b64decode(cluster["certificateAuthority"]["data"]) == (state.pki / "ca.crt").read_bytes()
    assert cluster["version"] == "1.35"
    assert cluster["kubernetesNetworkConfig"]["serviceIpv4Cidr"] == f"10.{state.service_net}.0.0/16"
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}
    vpc = cluster["resourcesVpcConfig"]
    assert vpc["vpcId"] == subnets[0]["VpcId"]
    group = aws("ec2").describe_security_groups(GroupIds=[vpc["clusterSecurityGroupId"]])["SecurityGroups"][0]
    assert {"Key": "aws:eks:cluster-name", "Value": CLUSTER} in group["Tags"]
    assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]


def test_a_second_cluster_is_refused(aws: Aws, cluster: dict[str, Any], role: str) -> None:
    eks, vpc = aws("eks"), {"subnetIds": cluster["resourcesVpcConfig"]["subnetIds"]}
    with pytest.raises(eks.exceptions.ResourceLimitExceededException, match="one Kubernetes API server"):
        eks.create_cluster(name="other", roleArn=role, resourcesVpcConfig=vpc)
    with pytest.raises(eks.exceptions.ResourceInUseException):
        eks.create_cluster(name=CLUSTER, roleArn=role, resourcesVpcConfig=vpc)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "1.30"}, "unsupported Kubernetes version 1.30"),
        ({"resourcesVpcConfig": {"subnetIds": ["subnet-0"]}}, "subnet ID 'subnet-0' does not exist"),
        ({"resourcesVpcConfig": {"subnetIds": []}}, "at least one"),
    ],
)
def test_impossible_clusters_are_refused(
    aws: Aws, cluster: dict[str, Any], role: str, change: dict[str, Any], message: str
) -> None:
    eks, vpc = aws("eks"), {"subnetIds": cluster["resourcesVpcConfig"]["subnetIds"]}
    with pytest.raises(eks.exceptions.InvalidParameterException, match=message):
        eks.create_cluster(**{"name": CLUSTER, "roleArn": role, "resourcesVpcConfig": vpc, **change})


def instances(aws: Aws, group: str) -> list[dict[str, Any]]:
    filters = {"tag:eks:nodegroup-name": group, "instance-state-name": "running"}
    found = aws("ec2").describe_instances(Filters=[{"Name": k, "Values": [v]} for k, v in filters.items()])
    return [instance for reservation in found["Reservations"] for instance in reservation["Instances"]]


def test_a_node_groups_instances_come_are_replaced_and_go(aws: Aws, cluster: dict[str, Any], role: str) -> None:
    eks, named = aws("eks"), {"clusterName": CLUSTER, "nodegroupName": "system"}
    made = eks.create_nodegroup(
        **named,
        scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 2},
        subnets=cluster["resourcesVpcConfig"]["subnetIds"],
        nodeRole=role,
        amiType="BOTTLEROCKET_x86_64",
        instanceTypes=["m5.large"],
        labels={"old": "1"},
    )["nodegroup"]
    assert (made["status"], made["updateConfig"]) == ("ACTIVE", {"maxUnavailable": 1})
    first = instances(aws, "system")
    assert len({instance["Placement"]["AvailabilityZone"] for instance in first}) == 2
    tags = {tag["Key"]: tag["Value"] for tag in first[0]["Tags"]}
    assert (tags["eks:cluster-name"], tags[f"kubernetes.io/cluster/{CLUSTER}"]) == (CLUSTER, "owned")
    aws("ec2").terminate_instances(InstanceIds=[first[0]["InstanceId"]])
    assert len(instances(aws, "system")) == 2
    update = eks.update_nodegroup_config(
        **named,
        scalingConfig={"desiredSize": 3},
        labels={"addOrUpdateLabels": {"new": "1"}, "removeLabels": ["old"]},
        taints={"addOrUpdateTaints": [{"key": "a", "value": "b", "effect": "NO_SCHEDULE"}]},
    )["update"]
    assert (
        eks.describe_update(name=CLUSTER, nodegroupName="system", updateId=update["id"])["update"]["status"]
        == "Successful"
    )
    assert len(instances(aws, "system")) == 3
    group = eks.describe_nodegroup(**named)["nodegroup"]
    assert (group["labels"], group["taints"][0]["key"]) == ({"new": "1"}, "a")
    with pytest.raises(eks.exceptions.InvalidParameterException, match="min <= desired <= max"):
        eks.update_nodegroup_config(**named, scalingConfig={"desiredSize": 4})
    with pytest.raises(eks.exceptions.ResourceInUseException, match="nodegroups attached"):
        eks.delete_cluster(name=CLUSTER)
    eks.delete_nodegroup(**named)
    assert instances(aws, "system") == []


def test_impossible_node_groups_are_refused(aws: Aws, cluster: dict[str, Any], role: str) -> None:
    eks = aws("eks")
    named = {"clusterName": CLUSTER, "nodegroupName": "bad", "nodeRole": role}
    subnets = cluster["resourcesVpcConfig"]["subnetIds"]
    for change, message in (
        ({"subnets": ["subnet-0"]}, "subnet-0"),
        ({"subnets": subnets, "amiType": "WINDOWS_CORE_2022_x86_64"}, "WINDOWS_CORE_2022_x86_64"),
        ({"subnets": subnets, "scalingConfig": {"minSize": 2, "maxSize": 1, "desiredSize": 2}}, "2, 2, 1"),
    ):
        with pytest.raises(eks.exceptions.InvalidParameterException, match=message):
            eks.create_nodegroup(**named, **change)
    assert eks.list_nodegroups(clusterName=CLUSTER)["nodegroups"] == []


def test_the_clusters_configuration_is_updated(aws: Aws, cluster: dict[str, Any]) -> None:
    eks = aws("eks")
    update = eks.update_cluster_config(name=CLUSTER, resourcesVpcConfig={"endpointPrivateAccess": True})["update"]
    assert update["type"] == "VpcConfigUpdate"
    assert eks.list_updates(name=CLUSTER)["updateIds"] == [update["id"]]
    assert eks.describe_cluster(name=CLUSTER)["cluster"]["resourcesVpcConfig"]["endpointPrivateAccess"] is True
    for change, message in (
        ({"resourcesVpcConfig": {"endpointPrivateAccess": True}}, "No changes needed"),
        ({"deletionProtection": True, "upgradePolicy": {"supportType": "EXTENDED"}}, "Only one type"),
    ):
        with pytest.raises(eks.exceptions.InvalidParameterException, match=message):
            eks.update_cluster_config(name=CLUSTER, **change)
    eks.update_cluster_config(name=CLUSTER, deletionProtection=True)
    with pytest.raises(eks.exceptions.InvalidRequestException, match="protected"):
        eks.delete_cluster(name=CLUSTER)
    eks.update_cluster_config(name=CLUSTER, deletionProtection=False)
    with pytest.raises(eks.exceptions.InvalidParameterException, match="unsupported"):
        eks.update_cluster_version(name=CLUSTER, version="1.36")
    with pytest.raises(eks.exceptions.ResourceNotFoundException):
        eks.update_cluster_config(name="other", deletionProtection=True)
    with pytest.raises(eks.exceptions.ResourceNotFoundException):
        eks.describe_update(name=CLUSTER, updateId="none")


def token(sts: Any, cluster: str = CLUSTER) -> str:
    """A token as `aws eks get-token` makes it."""

    def name_cluster(request: Any, **_ignored: Any) -> None:
        request.headers["x-k8s-aws-id"] = cluster

    sts.meta.events.register("before-sign.sts.GetCallerIdentity", name_cluster)
    try:
        url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    finally:
        sts.meta.events.unregister("before-sign.sts.GetCallerIdentity", name_cluster)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def reviewed(send: Send, bearer: str) -> dict[str, Any]:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": bearer}}
    status, answer = send("/_sandbox/token-review?timeout=30s", review)
    assert (status, answer["kind"]) == (200, "TokenReview")
    return dict(answer["status"])


def test_the_clusters_maker_is_its_administrator(aws: Aws, send: Send, cluster: dict[str, Any]) -> None:
    status = reviewed(send, token(aws("sts")))
    assert status["authenticated"]
    assert status["user"]["username"] == "arn:aws:iam::123456789012:root"
    assert status["user"]["groups"] == ["system:masters"]


def test_access_entries_decide_who_a_role_is(
    aws: Aws, connect: Callable[..., Any], send: Send, cluster: dict[str, Any], role: str
) -> None:
    keys = aws("sts").assume_role(RoleArn=role, RoleSessionName="me@home")["Credentials"]
    sts = connect(
        "sts",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    refused = reviewed(send, token(sts))
    assert refused["authenticated"] is False
    assert "no access entry" in refused["error"]
    entry = {"clusterName": CLUSTER, "principalArn": role}
    aws("eks").create_access_entry(**entry, kubernetesGroups=["viewers"], username="role:{{SessionName}}")
    user = reviewed(send, token(sts))["user"]
    assert (user["username"], user["groups"]) == ("role:me-home", ["viewers"])
    assert user["extra"]["canonicalArn"] == [role]
    aws("eks").delete_access_entry(**entry)
    assert reviewed(send, token(sts))["authenticated"] is False


def test_forged_tokens_are_refused(aws: Aws, connect: Callable[..., Any], send: Send, cluster: dict[str, Any]) -> None:
    forged = connect("sts", aws_access_key_id="123456789012", aws_secret_access_key="guessed")
    unknown = connect("sts", aws_access_key_id="AKIAUNKNOWN", aws_secret_access_key="test")
    for bearer in (token(forged), token(unknown), token(aws("sts"), "other"), "k8s-aws-v1.x", "eyJhbGciOi"):
        assert reviewed(send, bearer)["authenticated"] is False
    assert send("/_sandbox/token-review", {"spec": {}})[0] == 400


def test_tokens_expire_and_are_for_sts(aws: Aws, state: State) -> None:
    where = {"account": state.account, "endpoint": state.aws_url}
    bearer = token(aws("sts"))
    root = f"arn:aws:iam::{state.account}:root"
    assert caller_arn(bearer, CLUSTER, **where) == root
    for minutes, valid in ((14, True), (16, False), (-6, False)):
        then = datetime.now(UTC) + timedelta(minutes=minutes)
        if valid:
            assert caller_arn(bearer, CLUSTER, **where, now=lambda then=then: then) == root
        else:
            with pytest.raises(TokenError, match="expired"):
                caller_arn(bearer, CLUSTER, **where, now=lambda then=then: then)
    with pytest.raises(TokenError, match="no STS endpoint"):
        caller_arn(bearer, CLUSTER, account=state.account, endpoint="http://127.0.0.1:1")


@pytest.fixture(scope="module")
def agent_role(aws: Aws, cluster: dict[str, Any]) -> str:
    document = trust("pods.eks.amazonaws.com", actions=("sts:AssumeRole", "sts:TagSession"))
    arn = str(aws("iam").create_role(RoleName="agent", AssumeRolePolicyDocument=document)["Role"]["Arn"])
    association = {"clusterName": CLUSTER, "namespace": "sd"}
    aws("eks").create_pod_identity_association(**association, serviceAccount="agent", roleArn=arn)
    distrusted = aws("iam").get_role(RoleName="eks")["Role"]["Arn"]
    aws("eks").create_pod_identity_association(**association, serviceAccount="distrusted", roleArn=distrusted)
    return arn


def test_a_pod_gets_the_credentials_of_its_role(connect: Callable[..., Any], send: Send, agent_role: str) -> None:
    status, keys = send("/v1/credentials", headers={"authorization": "agent-token"})
    assert status == 200
    assert datetime.fromisoformat(keys["Expiration"].replace("Z", "+00:00")) > datetime.now(UTC)
    sts = connect(
        "sts",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )
    assert sts.get_caller_identity()["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/agent/eks-sd-agent")


@pytest.mark.parametrize(
    ("bearer", "status", "code"),
    [
        ("lonely-token", 404, "ResourceNotFoundException"),
        ("distrusted-token", 400, "AccessDeniedException"),
        ("human-token", 400, "InvalidTokenException"),
        ("unknown", 400, "InvalidTokenException"),
    ],
)
def test_other_pods_get_none(send: Send, agent_role: str, bearer: str, status: int, code: str) -> None:
    got, answer = send("/v1/credentials", headers={"authorization": bearer})
    assert (got, answer["code"]) == (status, code)
