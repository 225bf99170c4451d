"""The work on one task, between its claim and its answer: fetch inputs, generate, store."""

from __future__ import annotations

import logging

import orjson

from sd_agent.contract import jsonvalue, names
from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.task import Dialect, Task, TaskType
from sd_agent.worker.errors import TaskError, Unavailable
from sd_agent.worker.inputs import fill_images
from sd_agent.worker.outcome import Work
from sd_agent.worker.ports import Fetcher, Storage
from sd_agent.worker.supervisor import Hold
from sd_agent.worker.webui.base import Generation, WebUI

__all__ = ["TaskRunner"]

_log = logging.getLogger(__name__)


class TaskRunner:
    """Doing a task twice writes the same keys."""

    def __init__(self, *, webui: WebUI, fetcher: Fetcher, storage: Storage, bucket: str) -> None:
        self._webui = webui
        self._fetcher = fetcher
        self._storage = storage
        self._bucket = bucket

    def input_url(self, task: Task) -> str:
        """Where `keep_input` puts a task's content."""
        return names.s3_url(self._bucket, names.input_key(task.location, task.id))

    def keep_input(self, task: Task) -> str:
        """Store a task's content for dialects that name it; returns its URL. Raises Unavailable."""
        key = names.input_key(task.location, task.id)
        self._storage.put(key, jsonvalue.canonical(task.content), "application/json")
        return self.input_url(task)

    def run(self, task: Task, dialect: Dialect, hold: Hold) -> Work:
        """Raises TaskError, or Abandoned once the task was given up."""
        if task.tasktype is TaskType.PIPELINE:
            body = dict(task.content)
        else:
            body = fill_images(task.content, self._fetcher, task.tenant)
        hold.check()
        generation = self._webui.run(task, body)
        # What an interrupted WebUI returns may look whole: after giving up, nothing is stored.
        hold.check()
        _log.info(
            "generated",
            extra={
                "images": len(generation.pictures),
                "gpu_seconds": round(generation.gpu_seconds, 3),
                "switch_seconds": round(generation.switch_seconds, 3),
            },
        )
        try:
            return self._store(task, dialect, generation)
        except Unavailable as error:
            raise TaskError(ErrorCode.STORAGE_ERROR, f"the images could not be stored: {error}", retry=True) from error

    def _store(self, task: Task, dialect: Dialect, generation: Generation) -> Work:
        urls = []
        for number, picture in enumerate(generation.pictures, 1):
            key = names.image_key(task.location, task.id, number, picture.extension)
            self._storage.put(key, picture.data, picture.media_type)
            urls.append(names.s3_url(self._bucket, key))
        if dialect is Dialect.SAGEMAKER:
            self.keep_input(task)
        output = names.response_key(task.location, task.id)
        self._storage.put(output, orjson.dumps(generation.response), "application/json")
        return Work(
            image_urls=tuple(urls),
            output_url=names.s3_url(self._bucket, output),
            parameters=generation.parameters,
            seeds=tuple(generation.seeds),
            gpu_seconds=generation.gpu_seconds,
            switch_seconds=generation.switch_seconds,
        )
