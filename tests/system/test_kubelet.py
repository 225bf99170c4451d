"""The kubelet of processes, asked through the real API server what Kubernetes promises about pods."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from kubernetes import config

from sandbox.state import State
from support.pods import Pods, python, sh

pytestmark = pytest.mark.sandbox

SHOW = """
import json, os, sys
print(json.dumps({"env": dict(os.environ), "files": [open(path).read() for path in sys.argv[1:]]}))
"""
# Says with the time when it began, what signal it gets, and when it ends.
TELL = """
import os, signal, sys, time
me, seconds, delay = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
def say(what):
    print(time.time_ns(), me, what, flush=True)
def ended(*_):
    say("SIGTERM"); time.sleep(delay); say("ends"); sys.exit(0)
signal.signal(signal.SIGTERM, ended)
say("starts")
if me.startswith("car"): time.sleep(0.5); open(f"/shared/{me}", "w").close()
time.sleep(seconds)
say("ends")
"""
SHARED = {"volumes": [{"name": "shared", "emptyDir": {}}]}
IN_SHARED = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}


def teller(name: str, seconds: float, delay: float = 0.0, **fields: Any) -> dict[str, Any]:
    return python(TELL, name, str(seconds), str(delay), **{"name": name, **IN_SHARED, **fields})


def sidecar(name: str) -> dict[str, Any]:
    probe = {"exec": {"command": ["ls", f"/shared/{name}"]}, "periodSeconds": 1, "failureThreshold": 30}
    return teller(name, 600, restartPolicy="Always", startupProbe=probe)


def show_environment() -> tuple[dict[str, Any], dict[str, Any]]:
    def field(path: str) -> dict[str, Any]:
        return {"fieldRef": {"fieldPath": path}}

    env = [
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "A"}}},
        {"name": "IP", "valueFrom": field("status.podIP")},
        {"name": "LBL", "valueFrom": field("metadata.labels['app']")},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "X", "value": "http://$(IP):80/$(S)/$$(S)/$(NONE)"},
        {"name": "DIR", "value": "/scratch/x"},
        {"name": "URL", "value": "http://web.$(NS).svc.cluster.local:8000/"},
    ]
    env.insert(0, {"name": "NS", "valueFrom": field("metadata.namespace")})
    mounts = [("m", "/etc/m"), ("p", "/etc/p"), ("d", "/etc/d"), ("e", "/scratch")]
    container = python(
        SHOW,
        *("/etc/m/file.txt", "/etc/p/lab", "/etc/p/tok", "/etc/p/sub/k", "/etc/d/ann", "/one.txt"),
        env=env,
        envFrom=[
            {"configMapRef": {"name": "m"}, "prefix": "M_"},
            {"secretRef": {"name": "none", "optional": True}},
        ],
        resources={"requests": {"cpu": "50m"}, "limits": {"cpu": "1", "memory": "64Mi"}},
        volumeMounts=[
            *({"name": name, "mountPath": path} for name, path in mounts),
            {"name": "m", "mountPath": "/one.txt", "subPath": "file.txt"},
        ],
    )
    labels = {"path": "lab", "fieldRef": {"fieldPath": "metadata.labels"}}
    sources = [
        {"downwardAPI": {"items": [labels]}},
        {"serviceAccountToken": {"path": "tok", "audience": "pods.eks.amazonaws.com", "expirationSeconds": 3600}},
        {"secret": {"name": "s", "items": [{"key": "k", "path": "sub/k"}]}},
    ]
    annotations = {"path": "ann", "fieldRef": {"fieldPath": "metadata.annotations"}}
    volumes = [
        {"name": "m", "configMap": {"name": "m"}},
        {"name": "e", "emptyDir": {}},
        {"name": "d", "downwardAPI": {"items": [annotations]}},
        {"name": "p", "projected": {"sources": sources}},
    ]
    return container, {"restartPolicy": "Never", "volumes": volumes}


@pytest.fixture(scope="module")
def pods(sandbox: State) -> Iterator[Pods]:
    """A namespace with every pod of this module; they run side by side, the tests look at them one by one."""
    with config.new_client_from_config(str(sandbox.admin_kubeconfig)) as api:
        pods = Pods(api, f"kubelet-{int(time.time())}")
        pods.core.create_namespace({"metadata": {"name": pods.namespace}})
        try:
            while not any(one.metadata.name == "default" for one in accounts(pods)):
                time.sleep(0.1)
            create_all(pods)
            yield pods
        finally:
            pods.core.delete_namespace(pods.namespace)


def accounts(pods: Pods) -> list[Any]:
    found: list[Any] = pods.core.list_namespaced_service_account(pods.namespace).items
    return found


def create_all(pods: Pods) -> None:
    pods.core.create_namespaced_secret(pods.namespace, {"metadata": {"name": "s"}, "stringData": {"k": "quiet"}})
    data = {"A": "aa", "file.txt": "content"}
    pods.core.create_namespaced_config_map(pods.namespace, {"metadata": {"name": "m"}, "data": data})
    ports = [{"name": "http", "port": 8000, "targetPort": "http"}, {"name": "low", "port": 80, "targetPort": "http"}]
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}}
    pods.core.create_namespaced_service(pods.namespace, service)
    address = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    pods.create("crash", sh("date +%s; exit 3"))
    container, spec = show_environment()
    pods.create("env", container, **spec)
    pods.create("nowhere", {"name": "main", "image": "some/unknown:1"})
    pods.create("late", sh("echo $K; sleep 100", env=[secret_env("later")]))
    volume = {"name": "v", "configMap": {"name": "later"}}
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    pods.create("unmounted", sh("cat /v/k; sleep 100", **mount), volumes=[volume])
    bad = {"exec": {"command": ["sh", "-c", "echo not well; false"]}, "periodSeconds": 1, "failureThreshold": 2}
    pods.create("ill", sh("sleep 60", livenessProbe=bad), terminationGracePeriodSeconds=1)
    tcp = {"tcpSocket": {"port": "http"}, "periodSeconds": 1}
    serve = {
        "name": "main",
        "image": "python:3.11",
        "command": ["python", "-m", "http.server", "--bind", "$(IP)", "8000"],
    }
    ports = [{"name": "http", "containerPort": 8000}]
    pods.create("web", {**serve, "env": [address], "ports": ports, "readinessProbe": tcp})
    ignore = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"
    )
    pods.create("stubborn", python(ignore), terminationGracePeriodSeconds=2)
    cars = [sidecar("car1"), sidecar("car2")]
    pods.create("done", teller("main", 1), initContainers=[teller("init", 0), *cars], restartPolicy="Never", **SHARED)
    pods.create("deleted", teller("main", 600, delay=1), initContainers=[sidecar("car1"), sidecar("car2")], **SHARED)
    short = sh("echo run; sleep 1; exit 1", name="car", restartPolicy="Always")
    pods.create("again", sh("sleep 100"), initContainers=[short])
    second = sh("test -e /shared/x && exit; touch /shared/x; exit 7", name="init", **IN_SHARED)
    pods.create("retried", sh("echo main"), initContainers=[second], restartPolicy="OnFailure", **SHARED)
    pods.create("failed", sh("echo main"), initContainers=[sh("exit 4", name="init")], restartPolicy="Never")
    host = [{"name": "h", "hostPath": {"path": "/etc"}}]
    pods.create("outside", sh("true", volumeMounts=[{"name": "h", "mountPath": "/h"}]), volumes=host)
    follow = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    live = [{"name": "m", "configMap": {"name": "m"}}]
    pods.create("live", sh("while sleep 0.2; do cat /m/A; echo; done", **follow), volumes=live)
    main = sh("echo 1", name="main")
    template = {"spec": {"restartPolicy": "Never", "containers": [main]}}
    pods.batch.create_namespaced_job(pods.namespace, {"metadata": {"name": "job"}, "spec": {"template": template}})


def secret_env(name: str) -> dict[str, Any]:
    return {"name": "K", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}


def waiting(reason: str) -> Callable[[Any], bool]:
    return lambda pod: pod.status.container_statuses[0].state.waiting.reason == reason


def phase(name: str) -> Callable[[Any], bool]:
    return lambda pod: pod.status.phase == name


def test_environment_and_volumes_are_the_specs(pods: Pods, sandbox: State) -> None:
    pods.until("env", phase("Succeeded"))
    shown = json.loads(pods.log("env"))
    env, files = shown["env"], shown["files"]
    assert (env["S"], env["C"], env["M_A"]) == ("quiet", "aa", "aa")
    assert (env["LBL"], env["CPU"], env["MEM"]) == ("env", "50", "64")
    assert env["IP"].startswith(f"127.{sandbox.pod_net}.")
    assert env["X"] == f"http://{env['IP']}:80/quiet/$(S)/$(NONE)"
    assert env["DIR"].endswith("/volumes/e/x")
    assert env["URL"].startswith(f"http://127.{sandbox.service_net}.")
    assert "AWS_ACCESS_KEY_ID" not in env
    assert files[0] == files[5] == "content"
    assert 'app="env"' in files[1]
    assert files[3] == "quiet"
    assert 'note="n 1"' in files[4]
    claims = json.loads(base64.urlsafe_b64decode(files[2].split(".")[1] + "=="))
    assert claims["aud"] == ["pods.eks.amazonaws.com"]
    assert claims["kubernetes.io"]["pod"]["name"] == "env"


def test_unknown_image_is_refused_with_growing_delays(pods: Pods) -> None:
    pod = pods.until("nowhere", waiting("ImagePullBackOff"))
    message = pod.status.container_statuses[0].state.waiting.message
    assert message.startswith('Back-off pulling image "some/unknown:1": ErrImagePull: ')
    assert "docker.io/some/unknown:1: not found" in message
    pods.until_event("nowhere", "Failed", 'Failed to pull image "some/unknown:1": rpc error: code = NotFound')
    pods.until_event("nowhere", "BackOff", 'Back-off pulling image "some/unknown:1"')
    assert phase("Pending")(pod)


def test_missing_secret_is_waited_for(pods: Pods) -> None:
    pod = pods.until("late", waiting("CreateContainerConfigError"))
    assert pod.status.container_statuses[0].state.waiting.message == 'secret "later" not found'
    pods.until_event("unmounted", "FailedMount")
    pods.core.create_namespaced_secret(pods.namespace, {"metadata": {"name": "later"}, "stringData": {"k": "x"}})
    pods.core.create_namespaced_config_map(pods.namespace, {"metadata": {"name": "later"}, "data": {"k": "y"}})
    pods.until("late", phase("Running"), 5)
    pods.until("unmounted", phase("Running"), 5)


def test_probes_restart_and_admit(pods: Pods) -> None:
    pods.until("ill", lambda pod: pod.status.container_statuses[0].restart_count >= 1)
    assert pods.until_event("ill", "Unhealthy") == "Liveness probe failed: not well\n"
    assert pods.until_event("ill", "Killing") == "Container main failed liveness probe, will be restarted"
    pods.until("web", lambda pod: any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions))


def test_service_leads_to_ready_pods(pods: Pods) -> None:
    pods.until("web", lambda pod: any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions))
    fetch = "import sys, urllib.request; [print(urllib.request.urlopen(url).status) for url in sys.argv[1:]]"
    urls = [f"http://web.{pods.namespace}.svc:8000/", f"http://web.{pods.namespace}.svc/"]
    pods.create("fetch", python(fetch, *urls), restartPolicy="OnFailure")
    pods.until("fetch", phase("Succeeded"))
    assert pods.log("fetch").split() == ["200", "200"]
    text = pods.core.connect_get_namespaced_service_proxy_with_path("web:http", pods.namespace, path="/")
    assert "Directory listing" in text


def told(sandbox: State, pods: Pods, name: str, uid: str) -> list[str]:
    """What the containers of a pod said, in order; their logs outlive the pod."""
    logs = (sandbox.logs / "pods" / f"{pods.namespace}_{name}_{uid}").glob("*/0.log")
    return [line.split(maxsplit=1)[1] for line in sorted("".join(log.read_text() for log in logs).splitlines())]


def test_native_sidecars_start_and_stop_in_order(pods: Pods, sandbox: State) -> None:
    pod = pods.until("done", phase("Succeeded"))
    # car2 starts when car1's startup probe has succeeded, main when car2's has; they stop in reverse when main is done.
    assert told(sandbox, pods, "done", pod.metadata.uid) == [
        *("init starts", "init ends", "car1 starts", "car2 starts", "main starts", "main ends"),
        *("car2 SIGTERM", "car2 ends", "car1 SIGTERM", "car1 ends"),
    ]


def test_deletion_stops_main_first_sidecars_in_reverse(pods: Pods, sandbox: State) -> None:
    pod = pods.until("deleted", phase("Running"))
    pods.until("deleted", lambda _ignored: "main starts" in pods.log("deleted"))
    pods.core.delete_namespaced_pod("deleted", pods.namespace)
    pods.gone("deleted")
    assert told(sandbox, pods, "deleted", pod.metadata.uid) == [
        *("car1 starts", "car2 starts", "main starts"),
        *("main SIGTERM", "main ends", "car2 SIGTERM", "car2 ends", "car1 SIGTERM", "car1 ends"),
    ]


def test_grace_period_ends_with_sigkill(pods: Pods) -> None:
    pods.until("stubborn", lambda _ignored: "deaf" in pods.log("stubborn"))
    begun = time.monotonic()
    pods.core.delete_namespaced_pod("stubborn", pods.namespace)
    pods.gone("stubborn", 10)
    assert time.monotonic() - begun > 1.5


def test_sidecar_is_restarted_and_init_retried(pods: Pods) -> None:
    pods.until("again", lambda pod: pod.status.init_container_statuses[0].restart_count >= 1)
    pods.until("again", phase("Running"))
    pod = pods.until("retried", phase("Succeeded"))
    assert pod.status.init_container_statuses[0].restart_count == 1
    pod = pods.until("failed", phase("Failed"))
    assert pod.status.init_container_statuses[0].state.terminated.exit_code == 4
    assert pod.status.container_statuses[0].state.waiting.reason == "PodInitializing"


def test_host_path_outside_the_sandbox_is_refused(pods: Pods) -> None:
    assert "/etc is no directory of the sandbox" in pods.until_event("outside", "FailedMount")


def test_config_map_volume_follows(pods: Pods) -> None:
    pods.until("live", lambda _ignored: "aa" in pods.log("live"))
    pods.core.patch_namespaced_config_map("m", pods.namespace, {"data": {"A": "bb"}})
    pods.until("live", lambda _ignored: pods.log("live", tail_lines=1) == "bb\n", 5)


def test_job_completes(pods: Pods) -> None:
    deadline = time.monotonic() + 20
    while not pods.batch.read_namespaced_job("job", pods.namespace).status.succeeded:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_claim_is_one_directory_for_all_its_users(pods: Pods, sandbox: State) -> None:
    handle = f"fs-{pods.namespace}"
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": ""}
    csi = {"driver": "efs.csi.aws.com", "volumeHandle": handle}
    pods.core.create_persistent_volume({"metadata": {"name": handle}, "spec": {**spec, "csi": csi}})
    try:
        request = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": handle}
        claim = {"accessModes": ["ReadWriteMany"], "storageClassName": "", **request}
        pods.core.create_namespaced_persistent_volume_claim(
            pods.namespace, {"metadata": {"name": "models"}, "spec": claim}
        )
        volumes = [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]
        mount = {"volumeMounts": [{"name": "models", "mountPath": "/models", "subPath": "a/b"}]}
        pods.create("writer", sh("echo here > /models/file", **mount), volumes=volumes, restartPolicy="Never")
        pods.until("writer", phase("Succeeded"))
        assert (sandbox.kubelet / "claims" / handle / "a" / "b" / "file").read_text() == "here\n"
    finally:
        pods.core.delete_persistent_volume(handle)


def test_pod_identity_gives_the_role(pods: Pods, aws: boto3.Session) -> None:
    iam, eks = aws.client("iam"), aws.client("eks")
    principal = {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}}
    trust = {"Version": "2012-10-17", "Statement": [{**principal, "Action": ["sts:AssumeRole", "sts:TagSession"]}]}
    role = iam.create_role(RoleName=pods.namespace, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    [cluster] = eks.list_clusters()["clusters"]
    pods.core.create_namespaced_service_account(pods.namespace, {"metadata": {"name": "app"}})
    association = eks.create_pod_identity_association(
        clusterName=cluster, namespace=pods.namespace, serviceAccount="app", roleArn=role
    )["association"]["associationId"]
    try:
        who = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
        pods.create("identity", python(who), serviceAccountName="app", restartPolicy="Never")
        pods.until("identity", phase("Succeeded"))
        assert f":assumed-role/{pods.namespace}/" in pods.log("identity")
    finally:
        eks.delete_pod_identity_association(clusterName=cluster, associationId=association)
        iam.delete_role(RoleName=pods.namespace)


def test_nodes_are_the_instances(pods: Pods, aws: boto3.Session) -> None:
    nodes = [node for node in pods.core.list_node().items if "eks.amazonaws.com/nodegroup" in node.metadata.labels]
    assert nodes
    for node in nodes:
        name = node.spec.provider_id.rpartition("/")[2]
        [found] = aws.client("ec2").describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"]
        assert node.metadata.name == found["PrivateDnsName"]
        assert node.metadata.labels["node.kubernetes.io/instance-type"] == found["InstanceType"]
        assert node.spec.provider_id == f"aws:///{found['Placement']['AvailabilityZone']}/{name}"
        assert node.status.node_info.kubelet_version == "v1.35.4"
        assert not node.spec.taints


def test_crashing_container_is_restarted_with_back_off(pods: Pods, sandbox: State) -> None:
    pod = pods.until("crash", waiting("CrashLoopBackOff"))
    assert pod.status.container_statuses[0].last_state.terminated.exit_code == 3
    pod = pods.until("crash", lambda pod: pod.status.container_statuses[0].restart_count >= 2, 25)
    logs = sandbox.logs / "pods" / f"{pods.namespace}_crash_{pod.metadata.uid}" / "main"
    first, second, third = (int((logs / f"{run}.log").read_text()) for run in range(3))
    assert second - first <= 2
    assert 9 <= third - second <= 12
    assert int(pods.log("crash", previous=True)) >= second
    assert pods.until_event("crash", "BackOff").startswith("Back-off restarting failed container main in pod")


def test_log_is_followed_to_its_end(pods: Pods, sandbox: State) -> None:
    pods.create("chat", sh("for i in 1 2 3; do echo $i; sleep 0.3; done"), restartPolicy="Never")
    pods.until("chat", lambda pod: pod.status.container_statuses[0].state.waiting is None)
    assert pods.log("chat", follow=True).split() == ["1", "2", "3"]
