"""What probes and lifecycle hooks do to a container: an HTTP request, a TCP connection, a command, a sleep."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from dataclasses import dataclass

import aiohttp

from sandbox.kubernetes.kubelet.launch import Launch
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Outcome", "Target", "run"]

_USER_AGENT = "kube-probe/1.35"
_OUTPUT_MOST = 10 << 10


@dataclass(frozen=True)
class Outcome:
    """Whether it went well, and what is to be told if it did not."""

    good: bool
    output: str = ""


@dataclass(frozen=True)
class Target:
    """The container that is acted on.

    Attributes:
        host: the pod's loopback address.
        spec: the container's spec, for its named ports.
        launch: how it was started.
        http: a session that checks no certificates, as kubelet's probes do not.
    """

    host: str
    spec: Json
    launch: Launch
    http: aiohttp.ClientSession


async def run(action: Json, target: Target, seconds: float) -> Outcome:
    """Do what a probe or a hook asks for, within so many seconds; this never raises."""
    try:
        if spec := action.get("httpGet"):
            return await _http(spec, target, seconds)
        if spec := action.get("tcpSocket"):
            return await _tcp(spec, target, seconds)
        if spec := action.get("exec"):
            return await _command(spec.get("command") or [], target.launch, seconds)
        if spec := action.get("sleep"):
            await asyncio.sleep(min(seconds, spec["seconds"]))
            return Outcome(True)
        return Outcome(False, "the sandbox has httpGet, tcpSocket, exec and sleep only")
    except (OSError, ValueError) as error:
        return Outcome(False, str(error) or type(error).__name__)


async def _http(spec: Json, target: Target, seconds: float) -> Outcome:
    scheme, path = str(spec.get("scheme") or "HTTP").lower(), spec.get("path") or "/"
    port = _port(spec["port"], target)
    url = f"{scheme}://{spec.get('host') or target.host}:{port}{path if path.startswith('/') else '/' + path}"
    headers = {"User-Agent": _USER_AGENT, "Accept": "*/*"}
    headers.update({header["name"]: header["value"] for header in spec.get("httpHeaders") or []})
    limit = aiohttp.ClientTimeout(total=seconds)
    try:
        async with target.http.get(url, headers=headers, timeout=limit, allow_redirects=False) as answer:
            # The body is not read: Kubernetes must not tell it either.
            good = 200 <= answer.status < 400
            return Outcome(good, "" if good else f"HTTP probe failed with statuscode: {answer.status}")
    except TimeoutError:
        return Outcome(False, f'Get "{url}": context deadline exceeded (timeout of {seconds:g} s)')
    except aiohttp.ClientError as error:
        return Outcome(False, f'Get "{url}": {error}')


async def _tcp(spec: Json, target: Target, seconds: float) -> Outcome:
    host, port = spec.get("host") or target.host, _port(spec["port"], target)
    try:
        async with asyncio.timeout(seconds):
            _ignored, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: connect: {error.strerror or error}")
    writer.close()
    return Outcome(True)


async def _command(command: list[str], launch: Launch, seconds: float) -> Outcome:
    # A file, not a pipe: whatever the command leaves running could keep a pipe open.
    with tempfile.TemporaryFile() as output:
        child = await asyncio.create_subprocess_exec(
            *launch.words(command),
            env=launch.env,
            cwd=launch.directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds):
                await child.wait()
        except TimeoutError:
            return Outcome(False, f'command timed out: "{" ".join(command)}" timed out after {seconds:g}s')
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
        output.seek(0)
        return Outcome(child.returncode == 0, output.read(_OUTPUT_MOST).decode(errors="replace"))


def _port(value: object, target: Target) -> int:
    for port in target.spec.get("ports") or []:
        if port.get("name") == value:
            return int(port["containerPort"])
    return int(str(value))
