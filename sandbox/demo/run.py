"""The demo's course: look around, send, wait, check, keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as AwsError

from sandbox.demo import results
from sandbox.demo.cloud import Cloud
from sandbox.demo.cluster import Cluster
from sandbox.demo.diagnosis import explain
from sandbox.demo.errors import DemoError
from sandbox.demo.reference import Request, requests
from sandbox.demo.timeline import Timeline
from sandbox.demo.watcher import Watcher
from sd_agent.client import Client, ClientError, WaitTimeout

__all__ = ["Settings", "run"]

# The client rounds up to one long poll of a second, which ends with the first answer; Ctrl-C waits for it.
_SLICE_S = 0.01

Answers = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Settings:
    """What the demo is told.

    Attributes:
        name: sd_name of the installation.
        endpoint: the embedded AWS.
        kubeconfig: of an administrator.
        output: directory for answers and images.
        deadline_s: seconds from the first request to the last answer.
    """

    name: str
    endpoint: str
    kubeconfig: Path
    output: Path
    deadline_s: float


async def run(settings: Settings, say: Callable[[str], None]) -> str:
    """Send the reference requests and see them through; the sentence that says where everything is.

    Raises:
        DemoError: something is missing, failed, late or not what was asked for.
    """
    todo = requests(settings.endpoint)
    results.clear(settings.output, todo)
    timeline = Timeline(say)
    with _in_one_sentence():
        aws = await asyncio.to_thread(Cloud, settings.name, settings.endpoint)
        client = await asyncio.to_thread(_client, aws)
        async with Cluster(settings.kubeconfig) as cluster, asyncio.TaskGroup() as group:
            watcher = Watcher(cluster, aws, timeline)
            watching = await watcher.start(group)
            say(f"sending {len(todo)} requests to {aws.api.url}/v1alpha1")
            answers = await _answered(settings, aws, client, watcher, timeline, todo)
            for task in watching:
                task.cancel()
        seconds = timeline.seconds
        return await asyncio.to_thread(_keep, settings, aws, todo, answers, seconds)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """Turn whatever the system's parts raise into DemoError; a group of errors into its first."""
    try:
        yield
    except* (DemoError, ClientError, BotoCoreError, AwsError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise (
            error if isinstance(error, DemoError) else DemoError(f"{error}; `sandbox status` shows what runs.")
        ) from error


def _client(aws: Cloud) -> Client:
    return Client(aws.api.url, aws.api.key, queue_url=aws.answers_queue)


async def _answered(
    settings: Settings, aws: Cloud, client: Client, watcher: Watcher, timeline: Timeline, todo: list[Request]
) -> Answers:
    """Send everything and wait for all answers, however they come out."""
    answers: Answers = {}
    timeline.start()
    try:
        async with asyncio.timeout(settings.deadline_s):
            for request in todo:
                earlier = await asyncio.to_thread(_earlier, aws, request)
                receipt = await asyncio.to_thread(client.submit, request.body)
                location = str(receipt.get("output_location", ""))
                timeline.say("sent", f"{request.id} {request.task} -> {location}")
                watcher.locations[request.id] = location
                if earlier:
                    timeline.say("answer", f"{request.id} was answered before; this is the stored answer")
                    answers[request.id] = earlier
            while missing := {request.id for request in todo} - answers.keys():
                for task, answer in (await asyncio.to_thread(_wait, client, missing)).items():
                    # What led to the answer is told before it.
                    await asyncio.to_thread(watcher.look)
                    timeline.say("answer", f"{task} {answer.get('status')}")
                    answers[task] = answer
    except TimeoutError:
        late = sorted({request.id for request in todo} - answers.keys())
        reason = explain(watcher.picture, late)
        raise DemoError(f"No answer to {' and '.join(late)} after {settings.deadline_s:.0f} s: {reason}") from None
    return answers


def _earlier(aws: Cloud, request: Request) -> dict[str, Any] | None:
    """The answer that an earlier demo got on this sandbox: the same request is never run twice."""
    row = aws.row(request.id)
    stored: dict[str, Any] | None = json.loads(row["answer"]) if row and "answer" in row else None
    return stored


def _wait(client: Client, missing: set[str]) -> Answers:
    try:
        return client.wait(missing, _SLICE_S)
    except WaitTimeout as timeout:
        return timeout.answers


def _keep(settings: Settings, aws: Cloud, todo: list[Request], answers: Answers, seconds: float) -> str:
    paths: list[Path] = []
    errors: list[DemoError] = []
    for request in todo:
        try:
            paths += results.keep(settings.output, request, answers[request.id], aws.fetch)
        except DemoError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    names = ", ".join(path.name for path in paths)
    return f"{len(todo)} requests answered in {seconds:.1f} s; answers and images are in {settings.output}: {names}"
