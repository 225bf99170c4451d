"""Probes: their fields and what a row of results means.

https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Kind", "Probe", "Tally", "probes"]


class Kind(Enum):
    """What a probe decides; its name in events."""

    STARTUP = "Startup"
    READINESS = "Readiness"
    LIVENESS = "Liveness"


@dataclass(frozen=True)
class Probe:
    """One probe of a container.

    Attributes:
        kind: what it decides.
        action: what is tried: httpGet, tcpSocket or exec.
        initial_delay: seconds after the start before the first try.
        period: seconds from one try to the next.
        timeout: seconds that a try may take.
        success: good results in a row that turn it good.
        failure: bad results in a row that turn it bad.
        grace: seconds between SIGTERM and SIGKILL if it ends the container; None takes the pod's.
    """

    kind: Kind
    action: Json
    initial_delay: float
    period: float
    timeout: float
    success: int
    failure: int
    grace: float | None

    @classmethod
    def parse(cls, kind: Kind, spec: Json) -> Probe:
        """A probe from a container's spec, with the API's defaults."""
        return cls(
            kind=kind,
            action=spec,
            initial_delay=spec.get("initialDelaySeconds") or 0,
            period=spec.get("periodSeconds") or 10,
            timeout=spec.get("timeoutSeconds") or 1,
            success=spec.get("successThreshold") or 1,
            failure=spec.get("failureThreshold") or 3,
            grace=spec.get("terminationGracePeriodSeconds"),
        )


class Tally:
    """Counts a probe's results in a row."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._last: bool | None = None
        self._row = 0

    def record(self, good: bool) -> bool | None:
        """Take one result; what the probe says now, None while its threshold is not reached."""
        self._row = self._row + 1 if good == self._last else 1
        self._last = good
        reached = self._row >= (self._probe.success if good else self._probe.failure)
        return good if reached else None


def probes(container: Json) -> list[Probe]:
    """The probes of a container, startup first."""
    found = ((kind, container.get(f"{kind.value.lower()}Probe")) for kind in Kind)
    return [Probe.parse(kind, spec) for kind, spec in found if spec]
