# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The API of intake as a module uses it: submit a task, look at it, wait for its answer. HTTP is the caller's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import Failure

ENDED = ("completed", "failed", "cancelled")
# What may pass; -1 is no reply at all.
PASSING = (-1, 429, 502, 503, 504)
TRIES = 3
# Seconds between two looks at a task: the first, and the longest; each is half as long again as the last.
FIRST_LOOK, SLOWEST_LOOK = 0.5, 10.0


@dataclass(frozen=True)
class Reply:
    """A reply's status (-1: none came) and its body; reason says why none came."""

    status: int
    body: bytes = b""
    reason: str = ""

    @property
    def value(self) -> dict[str, Any] | None:
        """The body as a JSON object, None if it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    @property
    def error(self) -> dict[str, Any]:
        """Code, message and field of the API's one error shape, as far as the reply has it."""
        error = (self.value or {}).get("error")
        return error if isinstance(error, dict) else {}


class Refused(Failure):
    """The API did not do what it was asked; code, message and field are its own, as far as it told them."""

    def __init__(self, what: str, reply: Reply) -> None:
        error = reply.error
        self.status = reply.status
        self.code, self.message, self.field = error.get("code"), error.get("message"), error.get("field")
        if reply.status == -1:
            text = f"{what}: no reply ({reply.reason})"
        elif not error:
            text = f"{what}: status {reply.status} without the API's error shape; is the url that of the API?"
        else:
            where = f" (field {self.field})" if self.field else ""
            text = f"{what}: {reply.status} {self.code}: {self.message}{where}"
        super().__init__(text)


class NoRoute(Failure):
    """The API has no GET /v1/tasks/{id}."""


Send = Callable[[str, str, "Mapping[str, Any] | None"], Reply]


class TaskApi:
    """send: method, path and body to a reply; it raises nothing. clock and sleep: in seconds."""

    def __init__(
        self,
        send: Send,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._send = send
        self._clock = clock
        self._sleep = sleep

    def submit(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The receipt. A request is taken in once for each id, so one whose reply was lost is sent again."""
        reply = self._tried(TRIES, "POST", f"/{route}", body)
        if reply.status != 200 or reply.value is None:
            raise Refused(f"the task was not taken in by /{route}", reply)
        return reply.value

    def look(self, task_id: str, tries: int = TRIES) -> dict[str, Any] | None:
        """The task as the API shows it, None if there is none of that id. Raises NoRoute, Refused."""
        reply = self._tried(tries, "GET", f"/v1/tasks/{quote(task_id, safe='')}")
        if reply.status == 200 and reply.value is not None:
            return reply.value
        # A task that is not there is told by the field; a route that is not there has none.
        if reply.status == 404 and reply.error.get("field") == "id":
            return None
        # 403 without our error shape is API Gateway's own word for a path that it does not know.
        if reply.status in (404, 405) or (reply.status == 403 and not reply.error):
            raise NoRoute("the API has no GET /v1/tasks/{id}")
        raise Refused(f"the task {task_id} could not be looked at", reply)

    def wait(self, task_id: str, timeout: float) -> dict[str, Any]:
        """The task once it has ended. timeout: seconds. Raises Failure where it has not by then, NoRoute, Refused."""
        deadline = self._clock() + timeout
        pause = FIRST_LOOK
        told = "was not seen"
        while True:
            try:
                task = self.look(task_id, tries=1)
            except Refused as error:
                if error.status not in PASSING:
                    raise
                told = "could not be looked at"
            else:
                if task is None:
                    raise Failure(f"the API no longer knows the task {task_id}")
                if task.get("status") in ENDED:
                    return task
                told = f"is {task.get('status')}"
            left = deadline - self._clock()
            if left <= 0:
                raise Failure(f"the task {task_id} {told} after {timeout:g} s")
            self._sleep(min(pause, left))
            pause = min(SLOWEST_LOOK, pause * 1.5)

    def _tried(self, tries: int, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        reply = Reply(-1)
        for attempt in range(tries):
            if attempt:
                self._sleep(2.0**attempt)
            reply = self._send(method, path, body)
            if reply.status not in PASSING:
                break
        return reply


def task_id_of(route: str, body: Mapping[str, Any]) -> str | None:
    """The id in a request's body; None where there is none, which the API then tells with its field."""
    if route == "v1alpha1":
        value = _inner(body, "alwayson_scripts", "id_task")
    else:
        value = _inner(body, "task", "metadata", "id")
    return value if isinstance(value, str) and value else None


def reason_of(answer: Any) -> str:
    """Why a task has no images, from an answer of any dialect."""
    error = _inner(answer, "error")
    if isinstance(error, Mapping):
        return f"{error.get('code')}: {error.get('message')}"
    told = _inner(answer, "parameters", "error_msg") or _inner(answer, "failureReason")
    return told if isinstance(told, str) else "its answer does not say why"


def _inner(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
