"""A whole pod, with real processes and an API server that only takes notes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import EndpointConnectionError

from sandbox.kubernetes.kubelet.api import Api
from sandbox.kubernetes.kubelet.cluster import Cluster
from sandbox.kubernetes.kubelet.events import Recorder
from sandbox.kubernetes.kubelet.mirror import Mirror
from sandbox.kubernetes.kubelet.node import Node
from sandbox.kubernetes.kubelet.pod import Pod
from sandbox.kubernetes.kubelet.registry import Registry
from sandbox.state import PORTS, State
from support.waiting import until

PATH = "/api/v1/namespaces/ns/pods/pod"
TOKEN = "/api/v1/namespaces/ns/serviceaccounts/sa/token"
WAIT = "while :; do sleep 0.01; done"
TELL = f"trap 'echo $0 ends >> /s/order; exit 0' TERM; echo $0 starts >> /s/order; touch /s/$0; {WAIT}"


class Identity:
    """Plays the associations of the embedded EKS."""

    def __init__(self) -> None:
        self.associated_accounts: set[tuple[str, str]] = set()
        self.failures = 0

    async def associated(self, namespace: str, service_account: str) -> bool:
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        return (namespace, service_account) in self.associated_accounts


@pytest.fixture
async def cluster(server: Any, api: Api, tmp_path: Path) -> AsyncIterator[Cluster]:
    state = State((tmp_path / "state").resolve(), "123456789012", "us-east-1", 40, dict.fromkeys(PORTS, 1))
    identity: Any = Identity()
    async with aiohttp.ClientSession() as http:
        yield Cluster(
            state=state,
            api=api,
            http=http,
            recorder=Recorder(api),
            registry=Registry(None, state.account, state.region),
            identity=identity,
            config_maps=Mirror(api, "/configmaps"),
            secrets=Mirror(api, "/secrets"),
            services=Mirror(api, "/services"),
        )


def sh(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "python:3", "command": ["sh", "-c", script, name], **fields}


def made(cluster: Cluster, *containers: dict[str, Any], status: Any = None, ending: bool = False, **spec: Any) -> Pod:
    metadata = {"namespace": "ns", "name": "pod", "uid": "u1", "labels": {"a": "1"}}
    whole = {"containers": list(containers), "nodeName": "node", "serviceAccountName": "sa", **spec}
    obj = {"metadata": metadata, "spec": whole, "status": status or {}}
    node = Node("node", "i-1", "10.226.0.1", {"cpu": "2"})
    return Pod(cluster, node, obj, "10.224.0.1", ending=ending)


def statuses(server: Any) -> list[dict[str, Any]]:
    return [body["status"] for method, path, body in server.written if (method, path) == ("PATCH", f"{PATH}/status")]


async def until_phase(server: Any, phase: str) -> dict[str, Any]:
    await until(lambda: [one for one in statuses(server) if one["phase"] == phase])
    return statuses(server)[-1]


def volumes(cluster: Cluster) -> Path:
    return cluster.state.kubelet / "pods" / "u1" / "volumes"


SHARED = {"volumes": [{"name": "s", "emptyDir": {}}]}
IN_SHARED = {"volumeMounts": [{"name": "s", "mountPath": "/s"}]}


def car(name: str) -> dict[str, Any]:
    probe = {"exec": {"command": ["test", "-e", f"/s/{name}"]}, "periodSeconds": 0.02, "failureThreshold": 500}
    return sh(name, TELL, restartPolicy="Always", startupProbe=probe, **IN_SHARED)


async def test_pod_succeeds_and_tells_so(cluster: Cluster, server: Any) -> None:
    pod = made(cluster, sh("main", "env", env=[{"name": "A", "value": "$(B)"}]), restartPolicy="Never")
    status = await until_phase(server, "Succeeded")
    assert (status["podIP"], status["hostIP"]) == ("10.224.0.1", "10.226.0.1")
    env = dict(line.split("=", 1) for line in (pod.logs("main") / "0.log").read_text().splitlines())
    assert env["A"] == "$(B)"
    assert env["AWS_ENDPOINT_URL"] == cluster.state.aws_url
    assert env["SANDBOX_OWNER"] == str(cluster.state.directory)
    assert env["SANDBOX_PROCESS"] == "pod:ns/pod/main"
    assert env["HOSTNAME"] == "pod"
    assert "AWS_ACCESS_KEY_ID" not in env
    await pod.forget(0)
    assert not volumes(cluster).parent.exists()


async def test_sidecars_start_and_stop_in_order(cluster: Cluster, server: Any) -> None:
    main = sh("main", "echo main runs >> /s/order", **IN_SHARED)
    inits = [car("car1"), sh("init", "echo init runs >> /s/order", **IN_SHARED), car("car2")]
    pod = made(cluster, main, initContainers=inits, restartPolicy="Never", **SHARED)
    await until_phase(server, "Succeeded")
    assert (volumes(cluster) / "s" / "order").read_text().splitlines() == [
        "car1 starts",
        "init runs",
        "car2 starts",
        "main runs",
        "car2 ends",
        "car1 ends",
    ]
    await pod.forget(0)


async def test_failed_init_ends_the_pod(cluster: Cluster, server: Any) -> None:
    inits = [car("car1"), sh("init", "exit 4")]
    pod = made(cluster, sh("main", "true"), initContainers=inits, restartPolicy="Never", **SHARED)
    await until_phase(server, "Failed")
    await until(lambda: "terminated" in statuses(server)[-1]["initContainerStatuses"][0]["state"])
    assert statuses(server)[-1]["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    await pod.forget(0)


async def test_deletion_is_confirmed_when_everything_has_ended(cluster: Cluster, server: Any) -> None:
    pod = made(cluster, sh("main", TELL, **IN_SHARED), initContainers=[car("car1")], **SHARED)
    await until((volumes(cluster) / "s" / "main").exists)
    await pod.delete(30)
    assert (volumes(cluster) / "s" / "order").read_text().splitlines()[-2:] == ["main ends", "car1 ends"]
    method, path, options = server.written[-1]
    assert (method, path) == ("DELETE", PATH)
    assert (options["gracePeriodSeconds"], options["preconditions"]) == (0, {"uid": "u1"})
    assert statuses(server)[-1]["phase"] == "Succeeded"
    assert pod.delete(30).done()
    await pod.forget(0)


async def test_second_deletion_can_shorten_the_grace_period(cluster: Cluster, server: Any) -> None:
    pod = made(cluster, sh("main", "trap '' TERM; echo > /s/main; while :; do sleep 0.01; done", **IN_SHARED), **SHARED)
    await until((volumes(cluster) / "s" / "main").exists)
    deletion = pod.delete(60)
    await asyncio.sleep(0.05)
    pod.delete(0)
    async with asyncio.timeout(5):
        await deletion
    assert statuses(server)[-1]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    await pod.forget(0)


async def test_forced_deletion_overtakes_a_slow_one(cluster: Cluster, server: Any) -> None:
    pod = made(cluster, sh("main", f"trap '' TERM; echo > /s/main; {WAIT}", **IN_SHARED), **SHARED)
    await until((volumes(cluster) / "s" / "main").exists)
    deletion = pod.delete(60)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await pod.forget(0)
    assert deletion.cancelled()
    assert not volumes(cluster).parent.exists()
    assert "DELETE" not in {method for method, _ignored, _ignored in server.written}


async def test_missing_config_map_is_waited_for_then_followed(cluster: Cluster, server: Any) -> None:
    volume = {"name": "m", "configMap": {"name": "m"}}
    script = 'until [ "$(cat /m/k)" = two ]; do sleep 0.01; done'
    mount = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    pod = made(cluster, sh("main", script, **mount), volumes=[volume], restartPolicy="Never")
    await until_phase(server, "Pending")
    assert pod.uses("configMap", "m")
    for value in ("one", "two"):
        cluster.config_maps.items["ns", "m"] = {"data": {"k": value}}
        pod.source_changed()
        await until((volumes(cluster) / "m" / "k").exists)
    await until_phase(server, "Succeeded")
    await pod.forget(0)


async def test_labels_volume_follows_the_pod(cluster: Cluster, server: Any) -> None:
    label = {"path": "a", "fieldRef": {"fieldPath": "metadata.labels['a']"}}
    volume = {"name": "l", "downwardAPI": {"items": [label]}}
    pod = made(cluster, sh("main", "sleep 60"), volumes=[volume])
    await until_phase(server, "Running")
    metadata = {"namespace": "ns", "name": "pod", "uid": "u1", "labels": {"a": "2"}}
    pod.update({"metadata": metadata, "spec": {}})
    await until(lambda: (volumes(cluster) / "l" / "a").read_text() == "2")
    await pod.forget(0)


async def test_pod_identity_comes_with_a_token(cluster: Cluster, server: Any) -> None:
    identity: Any = cluster.identity
    identity.associated_accounts.add(("ns", "sa"))
    server.answers[TOKEN] = {"status": {"token": "t0"}}
    script = "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI; cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
    pod = made(cluster, sh("main", script), restartPolicy="Never")
    await until_phase(server, "Succeeded")
    assert (pod.logs("main") / "0.log").read_text() == f"{cluster.state.aws_url}/v1/credentials\nt0"
    [asked] = [body for method, path, body in server.written if path == TOKEN]
    assert asked["spec"]["audiences"] == ["pods.eks.amazonaws.com"]
    assert asked["spec"]["boundObjectRef"] == {"apiVersion": "v1", "kind": "Pod", "name": "pod", "uid": "u1"}
    assert pod.renewable is False
    await pod.forget(0)


async def test_silent_aws_is_waited_for(cluster: Cluster, server: Any) -> None:
    identity: Any = cluster.identity
    identity.failures = 1
    recording = asyncio.create_task(cluster.recorder.run())
    pod = made(cluster, sh("main", "true"), restartPolicy="Never")
    await until(lambda: [body for _ignored, _ignored, body in server.written if body.get("reason") == "FailedMount"])
    pod.source_changed()
    await until_phase(server, "Succeeded")
    await pod.forget(0)
    recording.cancel()


async def test_account_becomes_a_kubeconfig(cluster: Cluster, server: Any) -> None:
    server.answers[TOKEN] = {"status": {"token": "t0"}}
    cluster.config_maps.items["ns", "ca"] = {"data": {"ca.crt": "c"}}
    sources = [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "ca"}}]
    mount = {"name": "account", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    volume = {"name": "account", "projected": {"sources": sources}}
    pod = made(cluster, sh("main", "cat $KUBECONFIG", volumeMounts=[mount]), volumes=[volume], restartPolicy="Never")
    await until_phase(server, "Succeeded")
    config = json.loads((pod.logs("main") / "0.log").read_text())
    assert config["clusters"][0]["cluster"]["server"] == cluster.api.url
    assert config["contexts"][0]["context"]["namespace"] == "ns"
    assert config["users"][0]["user"]["tokenFile"] == str(volumes(cluster) / "account" / "token")
    assert (volumes(cluster) / "account" / "token").read_text() == "t0"
    await pod.forget(0)


async def test_claim_is_its_volumes_directory(cluster: Cluster, server: Any) -> None:
    claim = "/api/v1/namespaces/ns/persistentvolumeclaims/models"
    server.answers[claim] = {"spec": {"volumeName": "pv"}}
    server.answers["/api/v1/persistentvolumes/pv"] = {"spec": {"csi": {"volumeHandle": "fs-1::fsap-2"}}}
    volume = {"name": "m", "persistentVolumeClaim": {"claimName": "models"}}
    mount = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    pod = made(cluster, sh("main", "echo x > /m/file", **mount), volumes=[volume], restartPolicy="Never")
    await until_phase(server, "Succeeded")
    assert (cluster.state.kubelet / "claims" / "fs-1_fsap-2" / "file").read_text() == "x\n"
    await pod.forget(0)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"hostPath": {"path": "/etc"}}, "hostPath /etc is no directory of the sandbox"),
        ({"nfs": {}}, "the sandbox has no volumes of type nfs"),
        ({"persistentVolumeClaim": {"claimName": "x"}}, "404 Refused: no"),
    ],
)
async def test_impossible_volumes_are_told(cluster: Cluster, server: Any, volume: Any, message: str) -> None:
    server.refuse["GET", "/api/v1/namespaces/ns/persistentvolumeclaims/x"] = 404
    recording = asyncio.create_task(cluster.recorder.run())
    pod = made(cluster, sh("main", "true"), volumes=[{"name": "v", **volume}])
    await until(lambda: [body for _ignored, _ignored, body in server.written if body.get("reason") == "FailedMount"])
    [event] = [body for _ignored, _ignored, body in server.written if body.get("reason") == "FailedMount"]
    assert event["message"] == f'MountVolume.SetUp failed for volume "v" : {message}'
    assert "fieldPath" not in event["involvedObject"]
    await pod.forget(0)
    recording.cancel()


async def test_directory_of_the_sandbox_can_be_mounted(cluster: Cluster, server: Any) -> None:
    place = cluster.state.directory / "shared"
    volume = {"name": "h", "hostPath": {"path": str(place), "type": "DirectoryOrCreate"}}
    mount = {"volumeMounts": [{"name": "h", "mountPath": "/h", "subPathExpr": "$(WHO)"}]}
    env = [{"name": "WHO", "value": "me"}]
    pod = made(cluster, sh("main", "echo x > /h/f", env=env, **mount), volumes=[volume], restartPolicy="Never")
    await until_phase(server, "Succeeded")
    assert (place / "me" / "f").read_text() == "x\n"
    await pod.forget(0)


async def test_switched_off_machine_ends_everything_without_a_word(cluster: Cluster, server: Any) -> None:
    pod = made(
        cluster, sh("main", "trap 'echo bye' TERM; echo > /s/main; while :; do sleep 0.01; done", **IN_SHARED), **SHARED
    )
    await until((volumes(cluster) / "s" / "main").exists)
    await until_phase(server, "Running")
    told = len(server.written)
    pod.switch_off()
    await pod.forget(0)
    assert (pod.logs("main") / "0.log").read_text() == ""
    assert len(server.written) == told


async def test_pod_of_an_earlier_kubelet_starts_anew(cluster: Cluster, server: Any) -> None:
    running = {
        "name": "main",
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "containerID": "process://1",
    }
    status = {"startTime": "2026-01-01T00:00:00Z", "containerStatuses": [running]}
    pod = made(cluster, sh("main", "sleep 60"), status=status)
    found = await until_phase(server, "Running")
    await until(lambda: "running" in statuses(server)[-1]["containerStatuses"][0]["state"])
    found = statuses(server)[-1]
    assert found["startTime"] == "2026-01-01T00:00:00Z"
    assert found["containerStatuses"][0]["restartCount"] == 1
    assert found["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    await pod.forget(0)


async def test_pod_that_an_earlier_kubelet_saw_ended_stays_ended(cluster: Cluster, server: Any) -> None:
    ended = {"name": "main", "state": {"terminated": {"exitCode": 3}}, "containerID": "process://1"}
    inits = [sh("init", "true")]
    main = sh("main", "true")
    pod = made(cluster, main, initContainers=inits, restartPolicy="Never", status={"containerStatuses": [ended]})
    await until_phase(server, "Failed")
    assert not (pod.logs("init") / "0.log").exists()
    await pod.forget(0)


async def test_pod_that_was_on_its_way_out_is_only_confirmed(cluster: Cluster, server: Any) -> None:
    pod = made(cluster, sh("main", "sleep 60"), ending=True)
    await pod.delete(30)
    assert server.written[-1][0] == "DELETE"
    assert not (pod.logs("main") / "0.log").exists()
    await pod.forget(0)


async def test_ending_kubelet_ends_pods_without_a_word(cluster: Cluster, server: Any) -> None:
    pod = made(cluster, sh("main", TELL, **IN_SHARED), **SHARED)
    await until((volumes(cluster) / "s" / "main").exists)
    await until_phase(server, "Running")
    told = len(server.written)
    await pod.stop(5)
    assert (volumes(cluster) / "s" / "order").read_text().splitlines() == ["main starts", "main ends"]
    assert len(server.written) == told
    await pod.forget(0)
