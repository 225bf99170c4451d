"""Which checkpoint is in memory, and how another one gets there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from sandbox.webui.a1111.checkpoints import Checkpoint, Checkpoints
from sandbox.webui.a1111.errors import SafetensorError
from sandbox.webui.a1111.options import Options

__all__ = ["Loader"]

log = logging.getLogger(__name__)


class Loader:
    """Holds one loaded checkpoint, as the WebUI does with its default of one.

    The setting sd_model_checkpoint and the loaded file are two things: a restored override leaves the file in memory
    while the setting shows the old title again, and the next plain request pays for the switch back.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        options: Options,
        *,
        seconds: float,
        sleep: Callable[[float], Awaitable[None]],
        default: str | None = None,
    ) -> None:
        """`seconds` is one load; `default` is the name given by --ckpt, used while the setting names nothing."""
        self.checkpoints = checkpoints
        self.loaded: Checkpoint | None = None
        self._options = options
        self._seconds = seconds
        self._sleep = sleep
        self._default = default
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """The load at start: a failure is logged, and every later request tries again."""
        with contextlib.suppress(FileNotFoundError):
            try:
                await self.current()
            except SafetensorError as error:
                log.error("the model could not be loaded: %s", error)

    async def current(self) -> Checkpoint:
        """The loaded checkpoint; waits for a load under way and loads the selected one if there is none.

        Raises:
            FileNotFoundError: there is no checkpoint at all.
            SafetensorError: the file cannot be read.
        """
        async with self._lock:
            return self.loaded or await self._load(self.selected())

    async def select(self) -> Checkpoint:
        """Load what the setting names, unless it is loaded; only a load rewrites the setting to the title.

        Raises:
            FileNotFoundError: there is no checkpoint at all.
            SafetensorError: the file cannot be read; the one loaded before stays.
        """
        async with self._lock:
            selected = self.selected()
            return selected if selected is self.loaded else await self._load(selected)

    def unload(self) -> None:
        """Forget the loaded checkpoint; the next request loads again."""
        self.loaded = None

    def selected(self) -> Checkpoint:
        """What the setting names; a name that no file has means the default, then the first file.

        Raises:
            FileNotFoundError: there is no checkpoint at all.
        """
        for name in (self._options.get("sd_model_checkpoint"), self._default):
            found = self.checkpoints.named(name) if name is not None else None
            if found:
                return found
        first = self.checkpoints.first()
        if first is None:
            where = self.checkpoints.directory
            raise FileNotFoundError(f"No checkpoints found. Looked for .ckpt and .safetensors files in {where}.")
        return first

    async def _load(self, checkpoint: Checkpoint) -> Checkpoint:
        log.info("loading %s", checkpoint.name)
        await self._sleep(self._seconds)
        if checkpoint.unloadable:
            raise SafetensorError("Error while deserializing header: HeaderTooLarge")
        checkpoint.sha256 = checkpoint.sha256 or await checkpoint.read()
        self.loaded = checkpoint
        self._options.data["sd_model_checkpoint"] = checkpoint.title
        self._options.data["sd_checkpoint_hash"] = checkpoint.sha256
        return checkpoint
