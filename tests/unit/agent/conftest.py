"""In-memory twins of the ports, and a small real HTTP server to play WebUI, image host or API."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Task
from sd_agent.worker.errors import Unavailable
from sd_agent.worker.ports import Begun, BegunState, Received

Answer = tuple[int, Mapping[str, str], bytes]


class Failing:
    """Names of calls that fail from now on, with Unavailable."""

    def __init__(self) -> None:
        self.failing: set[str] = set()

    def _may_fail(self, name: str) -> None:
        if name in self.failing:
            raise Unavailable("fake", f"{name} is out of order")


class MemoryQueue(Failing):
    """A queue whose hidden messages come back at the next receive, unless they were hidden for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Received] = []
        self.hidden: list[tuple[str, int]] = []
        self.acknowledged: list[str] = []
        self.dead: list[tuple[Received, str]] = []
        self._sent = 0

    def send(self, body: str | dict[str, Any], attributes: Mapping[str, str] | None = None) -> Received:
        self._sent += 1
        message = Received(
            message_id=f"m-{self._sent}",
            receipt=f"r-{self._sent}",
            body=body if isinstance(body, str) else json.dumps(body),
            attributes=dict(attributes or {}),
            receives=0,
            sent_at=990.0,
        )
        self.waiting.append(message)
        return message

    def receive(self) -> Received | None:
        self._may_fail("receive")
        if not self.waiting:
            return None
        self.waiting[0] = replace(self.waiting[0], receives=self.waiting[0].receives + 1)
        return self.waiting[0]

    def acknowledge(self, message: Received) -> None:
        self._may_fail("acknowledge")
        self.acknowledged.append(message.message_id)
        self.waiting = [entry for entry in self.waiting if entry.message_id != message.message_id]

    def hide(self, message: Received, seconds: int) -> None:
        self._may_fail("hide")
        self.hidden.append((message.message_id, seconds))

    def dead_letter(self, message: Received, reason: str) -> None:
        self._may_fail("dead_letter")
        self.dead.append((message, reason))


class MemoryTable(Failing):
    """The task table's rules without DynamoDB; `me` is the worker that calls."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[str, str], Row] = {}
        self.me = "worker-1"

    def vouches(self, task: Task) -> bool:
        self._may_fail("vouches")
        row = self.rows.get((task.tenant, task.id))
        return row is not None and row.body_digest == task.body_digest

    def begin(
        self, task: Task, *, runtime: str, receives: int, now: float, lease_until: float, deadline: float = 0.0
    ) -> Begun:
        self._may_fail("begin")
        row = self.rows.get((task.tenant, task.id)) or Row(
            tenant=task.tenant,
            id=task.id,
            status=Status.ACCEPTED,
            runtime=runtime,
            body_digest=task.body_digest,
            created_at=now,
            updated_at=now,
            expires_at=int(now) + 100,
            deadline=deadline,
        )
        if row.body_digest != task.body_digest:
            return Begun(state=BegunState.OTHER_BODY, row=row)
        if row.status.ended:
            return Begun(state=BegunState.ENDED, row=row)
        if row.status is Status.RUNNING and row.lease_until >= now and row.worker != self.me:
            return Begun(state=BegunState.HELD, row=row)
        row = replace(
            row,
            status=Status.RUNNING,
            worker=self.me,
            lease_until=lease_until,
            updated_at=now,
            published=True,
            attempt=row.attempt + 1,
        )
        self.rows[row.tenant, row.id] = row
        return Begun(state=BegunState.MINE, row=row)

    def extend(self, row: Row, lease_until: float) -> Row | None:
        self._may_fail("extend")
        if not self._holds(row):
            return None
        self.rows[row.tenant, row.id] = replace(self.rows[row.tenant, row.id], lease_until=lease_until)
        return self.rows[row.tenant, row.id]

    def finish(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        self._may_fail("finish")
        found = self.rows[row.tenant, row.id]
        if not self._holds(row):
            return found if found.status.ended else None
        found = replace(found, status=status, answer=answer, published=False, updated_at=now, lease_until=0.0)
        self.rows[row.tenant, row.id] = found
        return found

    def mark_published(self, row: Row, now: float) -> None:
        self._may_fail("mark_published")
        self.rows[row.tenant, row.id] = replace(self.rows[row.tenant, row.id], published=True)

    def give_back(self, row: Row, *, counted: bool, now: float) -> None:
        self._may_fail("give_back")
        if self._holds(row):
            self.rows[row.tenant, row.id] = replace(
                row, status=Status.ACCEPTED, worker=None, lease_until=0.0, attempt=row.attempt - (not counted)
            )

    def _holds(self, row: Row) -> bool:
        found = self.rows.get((row.tenant, row.id))
        return (
            found is not None
            and found.status is Status.RUNNING
            and found.worker == self.me
            and found.attempt == row.attempt
        )


class MemoryTopic(Failing):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[tuple[str, dict[str, str], str]] = []

    def publish(self, text: str, *, attributes: Mapping[str, str], group: str) -> None:
        self._may_fail("publish")
        self.published.append((text, dict(attributes), group))

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text, _ignored, _ignored in self.published]


class MemoryStorage(Failing):
    """Objects by bucket and key; puts go to one bucket."""

    def __init__(self, bucket: str = "bucket") -> None:
        super().__init__()
        self.bucket = bucket
        self.objects: dict[tuple[str, str], tuple[bytes, str]] = {}

    def put(self, key: str, body: bytes, content_type: str) -> None:
        self._may_fail("put")
        self.objects[self.bucket, key] = (body, content_type)

    def get(self, bucket: str, key: str, limit: int) -> bytes:
        self._may_fail("get")
        body, _ignored = self.objects[bucket, key]
        if len(body) > limit:
            raise ValueError(key)
        return body


@dataclass
class Call:
    """A request that the HTTP server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpFake:
    """A real HTTP server with scripted replies: a reply, or a function of the call, per method and path."""

    port: int
    calls: list[Call] = field(default_factory=list)
    replies: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, route: str, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """`route` is "GET /path"; value: JSON, bytes, or a function of the Call that gives (status, headers, bytes)."""
        if callable(value):
            self.replies[route] = value
            return
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.replies[route] = lambda _ignored: (status, dict(headers or {}), body)

    def got(self, route: str) -> list[Call]:
        return [call for call in self.calls if f"{call.method} {call.path.partition('?')[0]}" == route]

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        found = self.replies.get(f"{call.method} {call.path.partition('?')[0]}")
        return found(call) if found else (404, {}, b'{"detail": "Not Found"}')


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: Any) -> None:
        """Clients that hang up are part of the tests."""


@pytest.fixture
def http_fakes() -> Iterator[Callable[[], HttpFake]]:
    """Starts HTTP servers on free ports."""
    servers: list[ThreadingHTTPServer] = []

    def start() -> HttpFake:
        fake = HttpFake(port=0)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # head and body in one packet: no waiting for a delayed ACK

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, extra, data = fake.answer(Call(self.command, self.path, headers, body))
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                if "content-length" not in {name.lower() for name in extra}:
                    self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve

            def log_message(self, *_arguments: Any) -> None:
                """Keep quiet."""

        server = _Server(("127.0.0.1", 0), Handler)
        fake.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return fake

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def http_fake(http_fakes: Callable[[], HttpFake]) -> HttpFake:
    """One HTTP server."""
    return http_fakes()


@pytest.fixture
def memory() -> Any:
    """The in-memory ports: `memory["queue"]()` and so on."""
    kinds: dict[str, Any] = {
        "queue": MemoryQueue,
        "table": MemoryTable,
        "topic": MemoryTopic,
        "storage": MemoryStorage,
    }
    return defaultdict(lambda: None, kinds)
