"""A container through its runs, with real processes and a pod that only takes notes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox import processes
from sandbox.kubernetes.kubelet.actions import Target
from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.container import Container
from sandbox.kubernetes.kubelet.deadline import Deadline
from sandbox.kubernetes.kubelet.launch import Launch, Place
from sandbox.kubernetes.kubelet.mounts import Mounts
from sandbox.kubernetes.kubelet.order import Role
from sandbox.kubernetes.kubelet.process import MARK, Process, end_leftovers
from sandbox.kubernetes.kubelet.recovery import Recovered
from support.waiting import until


class Pod:
    """Takes notes of what its containers tell."""

    label = "ns/pod"
    full_name = "pod_ns(u1)"
    grace = 30.0

    def __init__(self, directory: Path, http: aiohttp.ClientSession, policy: str = "Never") -> None:
        self.spec = {"restartPolicy": policy}
        self.directory = directory
        self.http = http
        self.blocked: list[Blocked] = []
        self.events: list[tuple[str, str]] = []
        self.change = asyncio.Event()

    async def prepare(self, container: dict[str, Any]) -> tuple[Launch, str]:
        if self.blocked:
            raise self.blocked.pop(0)
        place = Place(directory=self.directory, words={}, base={}, mounts=Mounts({}), names=lambda text: text)
        launch = Launch(argv=container["command"], env=dict(os.environ), directory=self.directory, place=place)
        return launch, "image@sha256:1"

    def target(self, container: dict[str, Any], launch: Launch) -> Target:
        return Target("127.0.0.1", container, launch, self.http)

    def log_file(self, container: dict[str, Any], run: int) -> Path:
        return self.directory / "logs" / container["name"] / f"{run}.log"

    def tell(self, container: dict[str, Any], reason: str, message: str, *, warning: bool = False) -> None:
        self.events.append((reason, message))

    def changed(self) -> None:
        self.change.set()

    def log(self, run: int = 0) -> str:
        return (self.directory / "logs" / "c" / f"{run}.log").read_text()

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await self.change.wait()
                self.change.clear()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def pod(tmp_path: Path, http: aiohttp.ClientSession) -> Pod:
    return Pod(tmp_path, http)


def container(pod: Pod, script: str, role: Role = Role.MAIN, **fields: Any) -> Container:
    return Container(pod, role, {"name": "c", "image": "i", "command": ["sh", "-c", script], **fields})


IGNORE = "trap '' TERM; echo ready > ready; while :; do sleep 0.01; done"


async def test_run_that_ends_well(pod: Pod) -> None:
    one = container(pod, "echo out; echo err >&2")
    assert await one.run()
    view = one.view()
    assert view.state["terminated"]["exitCode"] == 0
    assert view.state["terminated"]["reason"] == "Completed"
    assert (view.ready, view.started, view.restart_count, view.image_id) == (False, False, 0, "image@sha256:1")
    assert pod.log() == "out\nerr\n"
    assert [reason for reason, _ignored in pod.events] == ["Created", "Started"]


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)])
async def test_run_that_fails(pod: Pod, script: str, code: int) -> None:
    one = container(pod, script)
    assert not await one.run()
    assert one.view().state["terminated"]["exitCode"] == code


async def test_program_that_is_not_there(pod: Pod) -> None:
    one = Container(pod, Role.MAIN, {"name": "c", "image": "i", "command": ["/no/such/program"]})
    assert not await one.run()
    ended = one.view().state["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "/no/such/program" in ended["message"]


async def test_first_restart_is_immediate_the_next_waits(pod: Pod) -> None:
    pod.spec["restartPolicy"] = "Always"
    one = container(pod, "exit 2")
    task = asyncio.create_task(one.run())
    await pod.until(lambda: one.view().state.get("waiting"))
    view = one.view()
    assert view.state["waiting"] == {
        "reason": "CrashLoopBackOff",
        "message": "back-off 10s restarting failed container=c pod=pod_ns(u1)",
    }
    assert view.last["terminated"]["exitCode"] == 2
    assert view.restart_count == 1
    assert ("BackOff", "Back-off restarting failed container c in pod pod_ns(u1)") in pod.events
    # What changes meanwhile does not cut the wait short; a stop does.
    one.wake()
    await asyncio.sleep(0)
    assert not task.done()
    await one.stop(Deadline(5))
    assert not await task


async def test_blocked_container_tries_again_when_woken(pod: Pod) -> None:
    pod.blocked.append(Blocked('secret "s" not found', reason="CreateContainerConfigError", retry=60))
    one = container(pod, "true")
    task = asyncio.create_task(one.run())
    await pod.until(lambda: one.view().state.get("waiting"))
    assert one.view().state["waiting"]["reason"] == "CreateContainerConfigError"
    one.wake()
    assert await task
    assert pod.events[0] == ("Failed", 'Error: secret "s" not found')


async def test_failed_mount_leaves_the_state(pod: Pod) -> None:
    pod.blocked.append(Blocked("no volume", event="FailedMount", retry=0))
    one = container(pod, "true")
    assert await one.run()
    assert pod.events[0] == ("FailedMount", "no volume")


async def test_stop_is_sigterm(pod: Pod) -> None:
    one = container(pod, "trap 'echo bye; exit 0' TERM; echo > ready; while :; do sleep 0.01; done")
    task = asyncio.create_task(one.run())
    await ready(pod)
    await one.stop(Deadline(5))
    assert await task
    assert pod.log() == "bye\n"
    assert ("Killing", "Stopping container c") in pod.events


async def test_grace_period_ends_with_sigkill_for_the_whole_group(pod: Pod) -> None:
    one = container(pod, f"(sleep 60 & echo $! > child; wait) & {IGNORE}")
    task = asyncio.create_task(one.run())
    await ready(pod)
    await until(lambda: (pod.directory / "child").exists() and (pod.directory / "child").read_text().endswith("\n"))
    child = int((pod.directory / "child").read_text())
    await one.stop(Deadline(0.1))
    assert not await task
    assert one.view().state["terminated"]["exitCode"] == 137
    await until(lambda: not alive(child))


async def test_stop_waits_for_those_who_go_first(pod: Pod) -> None:
    first, second = container(pod, IGNORE), container(pod, "trap 'exit 0' TERM; while :; do sleep 0.01; done")
    tasks = [asyncio.create_task(one.run()) for one in (first, second)]
    await ready(pod)
    deadline = Deadline(5)
    stop = asyncio.create_task(second.stop(deadline, after=(first,)))
    await asyncio.sleep(0.05)
    assert "running" in second.view().state
    first.kill()
    await stop
    await asyncio.gather(*tasks)


async def test_pre_stop_hook_runs_before_sigterm(pod: Pod) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > hook"]}}}
    one = container(pod, "trap 'cat hook; exit 0' TERM; echo > ready; while :; do sleep 0.01; done", lifecycle=hook)
    task = asyncio.create_task(one.run())
    await ready(pod)
    await one.stop(Deadline(5))
    assert await task
    assert pod.log() == "hook\n"


async def test_failed_post_start_hook_ends_the_container(pod: Pod) -> None:
    one = container(pod, "exec sleep 60", lifecycle={"postStart": {"exec": {"command": ["false"]}}})
    assert not await one.run()
    assert ("FailedPostStartHook", "PostStartHook failed") in pod.events


async def test_started_and_ready_wait_for_their_probes(pod: Pod) -> None:
    one = container(
        pod,
        "exec sleep 60",
        startupProbe={"exec": {"command": ["test", "-e", "up"]}, "periodSeconds": 0.02, "failureThreshold": 1000},
        readinessProbe={"exec": {"command": ["test", "-e", "well"]}, "periodSeconds": 0.02},
    )
    task = asyncio.create_task(one.run())
    await pod.until(lambda: "running" in one.view().state)
    assert not one.view().started
    (pod.directory / "up").touch()
    await pod.until(lambda: one.view().started)
    assert not one.view().ready
    (pod.directory / "well").touch()
    await pod.until(lambda: one.view().ready)
    (pod.directory / "well").unlink()
    await pod.until(lambda: not one.view().ready)
    await one.stop(Deadline(5))
    await task
    assert not one.view().started


async def test_failed_liveness_restarts(pod: Pod) -> None:
    pod.spec["restartPolicy"] = "Always"
    probe = {"exec": {"command": ["sh", "-c", "echo ill; false"]}, "periodSeconds": 0.02, "failureThreshold": 2}
    one = container(pod, "exec sleep 60", livenessProbe=probe)
    task = asyncio.create_task(one.run())
    await pod.until(lambda: one.view().restart_count == 1)
    assert ("Unhealthy", "Liveness probe failed: ill\n") in pod.events
    assert ("Killing", "Container c failed liveness probe, will be restarted") in pod.events
    await one.stop(Deadline(5))
    await task


async def test_failed_startup_probe_of_a_pod_that_never_restarts(pod: Pod) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 0.02, "failureThreshold": 1}
    one = container(pod, "exec sleep 60", startupProbe=probe)
    assert not await one.run()
    assert ("Killing", "Container c failed startup probe") in pod.events


async def test_sidecar_is_ready_when_it_has_started(pod: Pod) -> None:
    one = container(pod, "exec sleep 60", Role.SIDECAR, restartPolicy="Always")
    task = asyncio.create_task(one.run())
    await one.started.wait()
    assert one.view().ready
    one.kill()
    assert not await task


async def test_init_container_is_ready_when_it_is_done(pod: Pod) -> None:
    one = container(pod, "true", Role.INIT)
    assert await one.run()
    assert one.view().ready


async def test_recovered_container_counts_on(pod: Pod) -> None:
    lost = {"terminated": {"exitCode": 137}}
    spec = {"name": "c", "image": "i", "command": ["true"]}
    one = Container(pod, Role.MAIN, spec, Recovered(3, lost, done=False))
    assert (one.view().restart_count, one.view().last) == (2, lost)
    await one.run()
    assert one.view().restart_count == 3
    assert pod.log(3) == ""
    done = Container(pod, Role.MAIN, spec, Recovered(3, lost, done=True))
    assert not await done.run()
    assert done.view().state == lost


async def test_leftovers_of_a_killed_kubelet_are_ended(tmp_path: Path) -> None:
    async def start(**env: str) -> Process:
        return await Process.start([sys.executable, "-c", "import time; time.sleep(60)"], env, tmp_path, tmp_path / "l")

    owner = {processes.OWNER: str(tmp_path)}
    left = await start(**owner, **{processes.NAME: f"{MARK}ns/pod/c"})
    other = await start(**owner, **{processes.NAME: "aws"})
    await until(lambda: len(processes.find(tmp_path)) == 2)
    begun = time.monotonic()
    assert await asyncio.to_thread(end_leftovers, tmp_path) == 1
    assert time.monotonic() - begun < 5
    assert await left.wait() == 137
    assert other.running
    other.kill()
    assert await other.wait() == 137


async def ready(pod: Pod) -> None:
    await until((pod.directory / "ready").exists)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
