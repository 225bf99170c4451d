"""What the WebUI answers only with its user interface on: without --nowebui."""

from __future__ import annotations

from aiohttp import web

from sandbox.webui.a1111.routes import Handler, body_of
from sandbox.webui.a1111.simulator import Simulator
from sandbox.webui.a1111.validation import Field, boolean, integer, text, validate

__all__ = ["INTERNAL_READ", "INTERNAL_WRITE"]

_PROGRESS = (
    Field("id_task", text),
    Field("id_live_preview", integer, -1),
    Field("live_preview", boolean, True),
)


async def _pending(simulator: Simulator, _ignored: web.Request) -> object:
    tasks = list(simulator.queue.pending)
    return {"size": len(tasks), "tasks": tasks}


async def _progress(simulator: Simulator, request: web.Request) -> object:
    """A task's progress by its id, which /sdapi/v1/progress does not know."""
    values = validate(_PROGRESS, await body_of(request), ("body",))
    name, queue = values["id_task"], simulator.queue
    active, queued = name == queue.active, name in queue.pending
    completed = name in queue.finished
    reply: dict[str, object] = {
        "active": active,
        "queued": queued,
        "completed": completed,
        "progress": None,
        "eta": None,
        "live_preview": None,
        "id_live_preview": values["id_live_preview"],
        "textinfo": None,
    }
    if not active:
        place = f"In queue: {queue.pending.index(name) + 1}/{len(queue.pending)}" if queued else "Waiting..."
        return {**reply, "id_live_preview": -1, "textinfo": place}
    measured = simulator.state.measure()
    return {**reply, "progress": measured.progress, "eta": measured.eta_relative, "textinfo": simulator.state.textinfo}


INTERNAL_READ: dict[str, Handler] = {"pending-tasks": _pending}
INTERNAL_WRITE: dict[str, Handler] = {"progress": _progress}
