"""What a sandbox is made of: what must lie on disk before it starts, and its processes in the order of their start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sandbox.aws import control as aws
from sandbox.processes import Process
from sandbox.state import State

__all__ = ["prepare", "processes"]


def prepare(state: State, progress: Callable[[str], None]) -> None:
    """Write what the processes need: directories and, with Kubernetes, binaries, certificates and charts.

    Raises:
        SandboxError: a tool is missing, a download or a compile failed, a directory cannot be written.
    """
    state.logs.mkdir(parents=True, exist_ok=True)
    if not state.kubernetes:
        return
    from sandbox.kubernetes import build, charts, control_plane, pki

    _link(state.bin, build.ensure(progress))
    state.kubelet.mkdir(parents=True, exist_ok=True)
    state.connect_socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pki.write(state)
    control_plane.configure(state)
    charts.package(state)


def processes(state: State) -> list[Process]:
    """Every process of the sandbox, in the order of their start."""
    if not state.kubernetes:
        return [aws.process(state)]
    from sandbox.kubernetes import control_plane
    from sandbox.kubernetes.kubelet import control as kubelet

    return [aws.process(state), *control_plane.processes(state), kubelet.process(state)]


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve(), target_is_directory=True)
