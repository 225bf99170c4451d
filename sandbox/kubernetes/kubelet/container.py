"""One container: started, watched, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from sandbox.kubernetes.kubelet import actions
from sandbox.kubernetes.kubelet.actions import Target
from sandbox.kubernetes.kubelet.backoff import BackOff
from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.deadline import Deadline
from sandbox.kubernetes.kubelet.launch import Launch
from sandbox.kubernetes.kubelet.objects import Json, now
from sandbox.kubernetes.kubelet.order import Role, restarts
from sandbox.kubernetes.kubelet.owner import Owner
from sandbox.kubernetes.kubelet.prober import follow
from sandbox.kubernetes.kubelet.probes import Kind, Probe, probes
from sandbox.kubernetes.kubelet.process import Process
from sandbox.kubernetes.kubelet.recovery import Recovered
from sandbox.kubernetes.kubelet.status import View

__all__ = ["LEAST_S", "Container"]

_log = logging.getLogger(__name__)

# A container that is stopped gets at least so much time after SIGTERM (kubelet's minimumGracePeriodInSeconds).
LEAST_S = 2.0
# Kubernetes sets a postStart hook no limit; this one only keeps a forgotten one from living for ever.
_HOOK_S = 3600.0
# What a runtime answers for a program that is not there (containerd: StartError).
_NO_PROGRAM = 128


class Container:
    """One container of a pod, through all its runs.

    Args:
        pod: its pod.
        role: what it is to it.
        spec: the container's.
        recovered: what is known of its runs under an earlier kubelet.

    Attributes:
        started: set while it runs and its startup probe, if any, has succeeded.
        gone: set while it has no process.
        done: whether an earlier kubelet saw its end, so that it is not started.
    """

    def __init__(self, pod: Owner, role: Role, spec: Json, recovered: Recovered | None = None) -> None:
        self.spec = spec
        self.role = role
        self.started = asyncio.Event()
        self.gone = asyncio.Event()
        self.gone.set()
        self._pod = pod
        self._runs = recovered.runs if recovered else 0
        self._last: Json = recovered.last if recovered and not recovered.done else {}
        self._state: Json = recovered.last if recovered and recovered.done else {}
        self.done = recovered is not None and recovered.done
        self._image_id = ""
        self._ready = False
        self._process: Process | None = None
        self._halted = False
        self._wake = asyncio.Event()
        self._gate = asyncio.Lock()
        self._back_off = BackOff(free=1)
        self._company: asyncio.Task[None] | None = None
        self._launch: Launch | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.spec["name"])

    def view(self) -> View:
        """What it is doing."""
        return View(
            spec=self.spec,
            role=self.role,
            state=self._state,
            last=self._last,
            ready=self._ready,
            started=self.started.is_set(),
            restart_count=max(0, self._runs - 1),
            image_id=self._image_id,
            container_id=f"process://{self._process.pid}" if self._process else "",
        )

    def wake(self) -> None:
        """Try again at once if something that it may need was missing."""
        self._wake.set()

    def halt(self) -> None:
        """Start no further run."""
        self._halted = True
        self._wake.set()

    def kill(self) -> None:
        """End it without a word, as when its machine is switched off."""
        self.halt()
        if self._company:
            self._company.cancel()
        # Of one that has ended, the number may be another process' by now.
        if self._process and self._process.running:
            self._process.kill()

    async def run(self) -> bool:
        """Run it until it is not to be started again; whether it ended well."""
        while not self._halted and not self.done:
            code = await self._once()
            if code is None:
                continue
            if self._halted or not restarts(self._pod.spec, self.role, self.spec, code):
                break
            await self._pause()
        return bool(self._state.get("terminated", {}).get("exitCode") == 0)

    async def stop(self, deadline: Deadline, after: Sequence[Container] = ()) -> None:
        """Stop it: preStop hook, its turn, SIGTERM, and SIGKILL at the deadline.

        Args:
            deadline: end of the pod's grace period.
            after: the containers that go first; they are waited for until the deadline.
        """
        self.halt()
        # A start that is under way is finished first, so that it is not missed.
        async with self._gate:
            process = self._process
        if process is None or not process.running:
            return
        self._pod.tell(self.spec, "Killing", f"Stopping container {self.name}")
        if self._company:
            self._company.cancel()
        await self._before_stop(deadline)
        for container in after:
            await deadline.wait(container.gone.wait())
        await self._end(process, deadline)
        await self.gone.wait()

    async def _once(self) -> int | None:
        """One run; its exit code, None if it could not be started."""
        self._wake.clear()
        try:
            launch, self._image_id = await self._pod.prepare(self.spec)
        except Blocked as blocked:
            await self._wait(blocked)
            return None
        async with self._gate:
            if self._halted:
                return None
            begun = asyncio.get_running_loop().time()
            log_file = self._pod.log_file(self.spec, self._runs)
            if self._state.get("terminated"):
                self._last = self._state
            self._runs += 1
            try:
                self._process = await Process.start(launch.argv, launch.env, launch.directory, log_file)
            except OSError as error:
                return self._not_started(launch, error)
            self.gone.clear()
        process, self._launch = self._process, launch
        _log.info("%s %s: pid %d", self._pod.label, self.name, process.pid)
        self._state = {"running": {"startedAt": now()}}
        self._pod.tell(self.spec, "Created", "Container created")
        self._pod.tell(self.spec, "Started", "Container started")
        self._company = asyncio.create_task(self._accompany(launch, process, begun))
        self._pod.changed()
        code = await process.wait()
        await self._ended(process, code)
        return code

    async def _ended(self, process: Process, code: int) -> None:
        # The container's other processes go with its first one.
        process.kill()
        if self._company:
            self._company.cancel()
            [failed] = await asyncio.gather(self._company, return_exceptions=True)
            if isinstance(failed, Exception):
                _log.error("%s %s: probes", self._pod.label, self.name, exc_info=failed)
        _log.info("%s %s: ended with %d", self._pod.label, self.name, code)
        self.started.clear()
        self._ready = self.role is Role.INIT and code == 0
        self._state = _terminated(code, self._state, f"process://{process.pid}")
        self.gone.set()
        self._pod.changed()

    def _not_started(self, launch: Launch, error: OSError) -> int:
        message = f'failed to create containerd task: exec: "{launch.argv[0]}": {error.strerror or error}'
        self._process = None
        self._state = _terminated(_NO_PROGRAM, {"running": {"startedAt": now()}}, "", "StartError", message)
        self._pod.tell(self.spec, "Failed", f"Error: {message}", warning=True)
        self._pod.changed()
        return _NO_PROGRAM

    async def _wait(self, blocked: Blocked) -> None:
        if blocked.reason:
            if self._state.get("terminated"):
                self._last = self._state
            self._state = {"waiting": {"reason": blocked.reason, "message": blocked.message}}
            self._pod.changed()
        self._pod.tell(self.spec, blocked.event, blocked.told, warning=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(blocked.retry):
                await self._wake.wait()

    async def _pause(self) -> None:
        """Wait out the back-off before the next run."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (delay := self._back_off.delay(loop.time()))
        if not delay:
            return
        self._last = self._state
        message = f"back-off {delay:g}s restarting failed container={self.name} pod={self._pod.full_name}"
        self._state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        told = f"Back-off restarting failed container {self.name} in pod {self._pod.full_name}"
        self._pod.tell(self.spec, "BackOff", told, warning=True)
        self._pod.changed()
        # A changed config map wakes those that wait for one; this wait goes on.
        while not self._halted and loop.time() < until:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()

    async def _accompany(self, launch: Launch, process: Process, begun: float) -> None:
        """What goes on beside a running process: postStart hook, then the probes."""
        target = self._pod.target(self.spec, launch)
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        if hook and not (await actions.run(hook, target, _HOOK_S)).good:
            self._pod.tell(self.spec, "FailedPostStartHook", "PostStartHook failed", warning=True)
            await self._restart(process, self._pod.grace, "FailedPostStartHook")
            return
        found = {probe.kind: probe for probe in probes(self.spec)}
        startup = found.pop(Kind.STARTUP, None)
        if startup and not await self._follow(startup, target, begun):
            await self._restart(process, startup.grace, f"Container {self.name} failed startup probe")
            return
        self.started.set()
        self._ready = self.role is not Role.INIT and Kind.READINESS not in found
        self._pod.changed()
        readiness = asyncio.create_task(self._ready_or_not(found.get(Kind.READINESS), target, begun))
        try:
            if (liveness := found.get(Kind.LIVENESS)) and not await self._follow(liveness, target, begun):
                await self._restart(process, liveness.grace, f"Container {self.name} failed liveness probe")
            await readiness
        finally:
            readiness.cancel()

    async def _ready_or_not(self, probe: Probe | None, target: Target, begun: float) -> None:
        def settled(good: bool) -> bool:
            if good != self._ready:
                self._ready = good
                self._pod.changed()
            return True

        if probe:
            await follow(probe, target, begun, settled, lambda output: self._unhealthy(probe, output))

    async def _follow(self, probe: Probe, target: Target, begun: float) -> bool:
        """A startup probe until it says yes or no, a liveness probe until it says no."""
        goes_on = probe.kind is Kind.LIVENESS
        return await follow(
            probe, target, begun, lambda good: good and goes_on, lambda output: self._unhealthy(probe, output)
        )

    def _unhealthy(self, probe: Probe, output: str) -> None:
        self._pod.tell(self.spec, "Unhealthy", f"{probe.kind.value} probe failed: {output}", warning=True)

    async def _restart(self, process: Process, grace: float | None, why: str) -> None:
        again = restarts(self._pod.spec, self.role, self.spec, 1)
        self._pod.tell(self.spec, "Killing", f"{why}, will be restarted" if again else why)
        _log.info("%s %s: %s", self._pod.label, self.name, why)
        deadline = Deadline(self._pod.grace if grace is None else grace, least=LEAST_S)
        await self._before_stop(deadline)
        await self._end(process, deadline)

    async def _before_stop(self, deadline: Deadline) -> None:
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if not hook or not deadline.remaining or not self._launch:
            return
        outcome = await actions.run(hook, self._pod.target(self.spec, self._launch), deadline.remaining)
        if not outcome.good:
            self._pod.tell(self.spec, "FailedPreStopHook", "PreStopHook failed", warning=True)

    async def _end(self, process: Process, deadline: Deadline) -> None:
        process.terminate()
        if not await deadline.wait(process.wait(), least=True):
            _log.info("%s %s: SIGKILL", self._pod.label, self.name)
            process.kill()
            await process.wait()


def _terminated(code: int, state: Json, container_id: str, reason: str | None = None, message: str = "") -> Json:
    ended = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": (state.get("running") or {}).get("startedAt"),
        "finishedAt": now(),
    }
    if container_id:
        ended["containerID"] = container_id
    if message:
        ended["message"] = message
    return {"terminated": ended}
