"""EventBridge hears of each instance's change of state, and Spot interruptions end in a termination, as on AWS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sandbox.aws.asgi import Response, Scope

__all__ = ["InstanceEvents"]

# EC2 User Guide, "Spot Instance interruption notices": two minutes before the instance is terminated.
_NOTICE_S = 120.0


class PutEvent(Protocol):
    """EventInjector.put."""

    def __call__(self, source: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None: ...


class InstanceEvents:
    """Wraps the actions of moto's EC2 back end that change an instance's state.

    Args:
        backend: returns moto's EC2 back end.
        put: puts an event on the default bus.
        ended: called after instances were terminated (node groups replace theirs).
    """

    def __init__(self, backend: Callable[[], Any], put: PutEvent, ended: Callable[[], None]) -> None:
        self._backend = backend
        self._put = put
        self._ended = ended

    def wrap_run(self, run_instances: Callable[..., Any]) -> Callable[..., Any]:
        """run_instances, then `pending` and `running` for each instance."""

        def run(backend: Any, *args: Any, **kwargs: Any) -> Any:
            reservation = run_instances(backend, *args, **kwargs)
            for state in ("pending", "running"):
                self._changed(backend, (instance.id for instance in reservation.instances), state)
            return reservation

        return run

    def wrap_change(self, change: Callable[..., Any], *states: str) -> Callable[..., Any]:
        """start, stop or terminate, then the states that the instances go through; none if they were there before."""

        def changed(backend: Any, instance_ids: list[str]) -> Any:
            outcome = change(backend, instance_ids)
            moved = [instance.id for instance, before in outcome if before.name != states[-1]]
            for state in states:
                self._changed(backend, moved, state)
            if moved and states[-1] == "terminated":
                self._ended()
            return outcome

        return changed

    def _changed(self, backend: Any, instance_ids: Iterable[str], state: str) -> None:
        for instance_id in instance_ids:
            arn = f"arn:aws:ec2:{backend.region_name}:{backend.account_id}:instance/{instance_id}"
            detail = {"instance-id": instance_id, "state": state}
            self._put("aws.ec2", "EC2 Instance State-change Notification", detail, [arn])

    async def interrupt(self, scope: Scope, body: bytes) -> Response:
        """POST {instance_id, notice_s}: a Spot interruption: its warning now, the termination after the notice."""
        try:
            request = json.loads(body)
            instance_id, notice_s = str(request["instance_id"]), float(request.get("notice_s", _NOTICE_S))
        except (ValueError, KeyError, TypeError) as error:
            return Response.json({"message": f"Send instance_id and notice_s: {error!r}"}, 400)
        instance = self._backend().get_instance_by_id(instance_id)
        if instance is None or instance.lifecycle != "spot" or not instance.is_running():
            return Response.json({"message": f"{instance_id} is no running Spot instance."}, 404)
        self._put(
            "aws.ec2",
            "EC2 Spot Instance Interruption Warning",
            {"instance-id": instance_id, "instance-action": "terminate"},
            [f"arn:aws:ec2:{instance.region_name}:{instance.owner_id}:instance/{instance_id}"],
        )
        asyncio.get_running_loop().call_later(notice_s, self._terminate, instance_id)
        return Response.json({})

    def _terminate(self, instance_id: str) -> None:
        backend = self._backend()
        instance = backend.get_instance_by_id(instance_id)
        if instance is not None and instance.is_running():
            backend.terminate_instances([instance_id])
