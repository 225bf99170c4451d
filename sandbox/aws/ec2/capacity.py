"""How many instances of a type a zone has left; without an entry there is no limit."""

from __future__ import annotations

import json
import threading

from sandbox.aws.asgi import Response, Scope

__all__ = ["Capacity"]


class Capacity:
    """The pools of instances, each of a type, a zone and a life cycle ("spot" or "on-demand")."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str, str], int] = {}
        self._lock = threading.Lock()

    def limit(self, instance_type: str, zone: str, lifecycle: str, left: int | None) -> None:
        """Say how many more may be launched; None takes the limit away."""
        with self._lock:
            self._left.pop((instance_type, zone, lifecycle), None)
            if left is not None:
                self._left[instance_type, zone, lifecycle] = left

    def take(self, instance_type: str, zone: str, lifecycle: str) -> bool:
        """Take one instance of a pool; False if it has none."""
        with self._lock:
            pool = (instance_type, zone, lifecycle)
            left = self._left.get(pool)
            if left is None:
                return True
            if left > 0:
                self._left[pool] = left - 1
            return left > 0

    async def route(self, scope: Scope, body: bytes) -> Response:
        """POST [{instance_type, zone, lifecycle, left}, …]: set limits, `left: null` removes one."""
        try:
            limits = [
                (str(pool["instance_type"]), str(pool["zone"]), str(pool["lifecycle"]), pool["left"])
                for pool in json.loads(body)
            ]
            if any(left is not None and not isinstance(left, int) for *_ignored, left in limits):
                raise ValueError("left is a number or null")
        except (ValueError, KeyError, TypeError) as error:
            return Response.json({"message": f"Send [{{instance_type, zone, lifecycle, left}}]: {error!r}"}, 400)
        for instance_type, zone, lifecycle, left in limits:
            self.limit(instance_type, zone, lifecycle, left)
        return Response.json({})
