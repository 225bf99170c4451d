"""The two programs that the sandbox changes before it compiles them, one expression each, and why.

Whatever the sandbox starts listens on 127.0.0.0/8 only. Karpenter (metrics, health probes) and KEDA's metrics adapter
(metrics) listen on every address of the machine, `":8080"`, and no flag or variable of theirs says otherwise: in a pod
of its own that is right, on a developer's machine it is a door. So the expression that makes the address gets `POD_IP`
in front of `":8080"`. Where POD_IP is not set they do exactly what the published programs do.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

__all__ = ["Patch", "karpenter", "keda_adapter"]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """One substitution in one file of a Go module.

    Attributes:
        module: Go module that has the file.
        version: the module's, with a leading `v`.
        file: path in the module.
        old: the text to replace.
        new: what takes its place.
        times: how often `old` is in the file; any other number means that the module is not the one it was made for.
    """

    module: str
    version: str
    file: str
    old: str
    new: str
    times: int

    @property
    def directory(self) -> str:
        """Name of the changed copy; the program's build information has it, and so tells which change it carries."""
        return f"patched-{hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:12]}"


def karpenter(version: str) -> Patch:
    """Karpenter's core (without leading `v`): two servers, two addresses made in the same way."""
    return Patch(
        module="sigs.k8s.io/karpenter",
        version=f"v{version}",
        file="pkg/operator/operator.go",
        old='BindAddress: fmt.Sprintf(":%d", options.FromContext(ctx).',
        new='BindAddress: env.WithDefaultString("POD_IP", "") + fmt.Sprintf(":%d", options.FromContext(ctx).',
        times=2,
    )


def keda_adapter(version: str) -> Patch:
    """KEDA's metrics adapter (without leading `v`): the server of its own metrics."""
    return Patch(
        module="github.com/kedacore/keda/v2",
        version=f"v{version}",
        file="cmd/adapter/main.go",
        old='metricsBindAddress := fmt.Sprintf(":%v", metricsAPIServerPort)',
        new='metricsBindAddress := os.Getenv("POD_IP") + fmt.Sprintf(":%v", metricsAPIServerPort)',
        times=1,
    )
