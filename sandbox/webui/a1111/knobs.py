"""The simulator's own settings, all from the environment, read once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.webui.a1111.errors import SettingsError

__all__ = ["DEFAULT_MODELS", "Knobs"]

DEFAULT_MODELS = ("v1-5-pruned-emaonly.safetensors", "dreamshaper_8.safetensors", "sd_xl_base_1.0.safetensors")


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """How fast the simulator is and what it has.

    Attributes:
        step_seconds: one sampling step of one image.
        load_seconds: one model load.
        start_seconds: from the start of the process to the open port.
        models: simulated checkpoints, `name` or `name=other` (the same content as `other`, so the same hash);
            None: the defaults, or what --ckpt-dir holds.
        scripts: further alwayson scripts that count as installed, such as ControlNet.
    """

    step_seconds: float = 0.02
    load_seconds: float = 0.5
    start_seconds: float = 0.0
    models: tuple[str, ...] | None = None
    scripts: tuple[str, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Knobs:
        """Read the SIMULATOR_* variables.

        Raises:
            SettingsError: one of them is not what it should be; the message names it.
        """
        models = environ.get("SIMULATOR_MODELS")
        return cls(
            step_seconds=_seconds(environ, "SIMULATOR_STEP_SECONDS", cls.step_seconds),
            load_seconds=_seconds(environ, "SIMULATOR_LOAD_SECONDS", cls.load_seconds),
            start_seconds=_seconds(environ, "SIMULATOR_START_SECONDS", cls.start_seconds),
            models=None if models is None else _words(models),
            scripts=_words(environ.get("SIMULATOR_SCRIPTS", "")),
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise SettingsError(f"{name} must be a number of seconds, not {text!r}.")
    return value
