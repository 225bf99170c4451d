"""The kubelet as a process of the sandbox."""

from __future__ import annotations

import os
import socket
import sys

from sandbox.processes import Process
from sandbox.state import State

__all__ = ["BOOT", "process"]

# Seconds from an instance's launch until its node joins, for those who want a cold start's length modelled.
BOOT = "SANDBOX_BOOT_SECONDS"
_TIMEOUT_S = 2.0


def process(state: State) -> Process:
    """`python -m sandbox.kubernetes.kubelet` for this sandbox; SANDBOX_BOOT_SECONDS is passed on."""

    def ready() -> bool:
        # The socket is opened last, when everything that the API server holds is known.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(state.connect_socket))
        return True

    return Process(
        name="kubelet",
        argv=(sys.executable, "-m", "sandbox.kubernetes.kubelet", "--state", str(state.directory)),
        ready=ready,
        log=state.logs / "kubelet.log",
        env={BOOT: os.environ.get(BOOT, "0")},
        deadline_s=30.0,
        after=("aws", "kube-apiserver"),
    )
