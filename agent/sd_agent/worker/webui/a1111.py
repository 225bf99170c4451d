"""SD WebUI (AUTOMATIC1111, v1.10.1), unmodified, by its HTTP API."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.task import IMAGE_TASKS, Task, TaskType
from sd_agent.worker.errors import TaskError
from sd_agent.worker.webui import a1111_models as models
from sd_agent.worker.webui.a1111_errors import error_of
from sd_agent.worker.webui.a1111_models import Checkpoint
from sd_agent.worker.webui.a1111_results import Asked, read_generation
from sd_agent.worker.webui.base import Generation
from sd_agent.worker.webui.http import Reply, WebUIClient

__all__ = ["A1111"]

_log = logging.getLogger(__name__)
_API = "/sdapi/v1"
_ENDPOINTS: Mapping[TaskType, str] = {
    TaskType.TEXT_TO_IMAGE: f"{_API}/txt2img",
    TaskType.IMAGE_TO_IMAGE: f"{_API}/img2img",
    TaskType.EXTRA_SINGLE_IMAGE: f"{_API}/extra-single-image",
    TaskType.EXTRA_BATCH_IMAGES: f"{_API}/extra-batch-images",
}
# The agent stores the images; what the WebUI would write to its own disk is nobody's, and adds a grid to the reply.
_FORCED = {"send_images": True, "save_images": False, "override_settings_restore_afterwards": True}


class A1111:
    """See webui.base.WebUI. served: the models that this runtime may run; empty for all that the WebUI has."""

    def __init__(
        self,
        *,
        client: WebUIClient,
        served: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._served = served
        self._clock = clock

    def ready(self) -> bool:
        """See WebUI; /sd-models answers before a model is loaded."""
        try:
            return self._client.get(f"{_API}/sd-models").status == 200
        except TaskError:
            return False

    def run(self, task: Task, body: dict[str, Any]) -> Generation:
        """See WebUI."""
        endpoint = _ENDPOINTS.get(task.tasktype)
        if endpoint is None:
            raise TaskError(ErrorCode.INVALID_REQUEST, f"a runtime of kind a1111 does not run {task.tasktype.value}")
        checkpoint, switch_seconds = None, 0.0
        if task.tasktype in IMAGE_TASKS:
            options = self._options()
            started = self._clock()
            checkpoint = self._ensure_model(task.model or next(iter(self._served), None), options)
            switch_seconds = self._clock() - started
            self._settle(body.get("override_settings") or {}, options)
            body = body | _FORCED
        started = self._clock()
        reply = self._client.post(endpoint, body, slow=True)
        gpu_seconds = self._clock() - started
        if reply.status != 200:
            raise error_of(reply)
        self._check_not_interrupted(task)
        result = read_generation(reply, Asked(tasktype=task.tasktype, body=body, checkpoint=checkpoint))
        return Generation(
            pictures=result.pictures,
            response=result.response,
            parameters=result.parameters,
            seeds=result.seeds,
            gpu_seconds=gpu_seconds,
            switch_seconds=switch_seconds,
        )

    def interrupt(self) -> None:
        """See WebUI; it acts on the running generation only, whoever asked for that."""
        try:
            self._client.post(f"{_API}/interrupt")
        except TaskError as error:
            _log.warning("the WebUI did not take the interrupt", extra={"reason": error.message})

    def _ensure_model(self, asked: str | None, options: Mapping[str, Any]) -> Checkpoint | None:
        """The checkpoint that is asked for, in memory. Raises TaskError without unloading the one that is."""
        if asked is None:
            return None
        checkpoint = self._find(asked)
        if self._served and checkpoint.file not in self._served and checkpoint.path not in self._served:
            raise TaskError(ErrorCode.MODEL_NOT_FOUND, f"this runtime serves {', '.join(self._served)}, not {asked}")
        if models.is_loaded(checkpoint, options):
            return checkpoint
        _log.info("switching the model", extra={"model": checkpoint.file})
        started = self._clock()
        self._call(self._client.post(f"{_API}/options", {"sd_model_checkpoint": checkpoint.title}, slow=True))
        # A file that cannot be loaded also answers 200, with the old model put back; and a title changes on first load.
        checkpoint = self._same_file(checkpoint)
        if not models.is_loaded(checkpoint, self._options()):
            raise TaskError(ErrorCode.MODEL_NOT_READY, f"the WebUI could not load {checkpoint.file}", retry=True)
        _log.info("switched", extra={"model": checkpoint.file, "seconds": round(self._clock() - started, 3)})
        if models.find([checkpoint], asked) is None:
            raise TaskError(ErrorCode.MODEL_NOT_FOUND, f"{checkpoint.file} has another hash than {asked}")
        return checkpoint

    def _find(self, asked: str) -> Checkpoint:
        found = models.find(self._checkpoints(), asked)
        if found is None:
            self._call(self._client.post(f"{_API}/refresh-checkpoints", slow=True))
            found = models.find(self._checkpoints(), asked)
        if found is None:
            raise TaskError(ErrorCode.MODEL_NOT_FOUND, f"the WebUI has no model {asked}")
        return found

    def _same_file(self, checkpoint: Checkpoint) -> Checkpoint:
        return next((entry for entry in self._checkpoints() if entry.filename == checkpoint.filename), checkpoint)

    def _settle(self, settings: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Set each overridden key to what it is: a key that was never set is not restored after an override."""
        unknown = [name for name in settings if name not in options]
        if unknown:
            raise TaskError(ErrorCode.INVALID_REQUEST, f"override_settings: the WebUI has no setting {unknown[0]}")
        if settings:
            self._call(self._client.post(f"{_API}/options", {name: options[name] for name in settings}, slow=True))

    def _check_not_interrupted(self, task: Task) -> None:
        """An interrupted run answers 200 with a partial image that nothing marks; only /progress remembers."""
        if task.tasktype not in IMAGE_TASKS:
            return
        try:
            progress = self._client.get(f"{_API}/progress?skip_current_image=true").json()
        except TaskError:
            return
        state = progress.get("state") if isinstance(progress, dict) else None
        if isinstance(state, dict) and (state.get("interrupted") or state.get("skipped")):
            raise TaskError(ErrorCode.WRONG_RESULT, "the generation was interrupted", retry=True)

    def _options(self) -> dict[str, Any]:
        options = self._call(self._client.get(f"{_API}/options"))
        if not isinstance(options, dict):
            raise TaskError(ErrorCode.WEBUI_ERROR, "the WebUI's options are no object", retry=True)
        return options

    def _checkpoints(self) -> list[Checkpoint]:
        return models.read_checkpoints(self._call(self._client.get(f"{_API}/sd-models")))

    @staticmethod
    def _call(reply: Reply) -> Any:
        if reply.status != 200:
            raise error_of(reply)
        return reply.json()
