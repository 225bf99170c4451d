"""The settings behind /sdapi/v1/options, and how a task's override_settings come and go."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.webui.a1111.option_defaults import DEFAULTS, NOT_BY_API

__all__ = ["Options"]


class Options:
    """Values that somebody has set, over the defaults.

    The difference between the two is the WebUI's best known leak: what a task overrides is put back afterwards only
    if the key was *set* before (by POST /options or a config.json), not if it merely had its default.
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """The value in force; KeyError for a key that no version 1.10.1 has."""
        return self.data[key] if key in self.data else DEFAULTS[key]

    def set(self, key: str, value: object) -> bool:
        """Set one value as the API does; True if that changed it. Setting a default counts: the key is set then.

        Raises:
            KeyError: there is no such setting.
        """
        if key not in DEFAULTS:
            raise KeyError(key)
        if self.data.get(key) == value or key in NOT_BY_API:
            return False
        self.data[key] = value
        return True

    def all(self) -> dict[str, Any]:
        """Every setting, as GET /options shows it."""
        return {**copy.deepcopy(DEFAULTS), **self.data}

    def keep(self, keys: Iterable[str]) -> dict[str, Any]:
        """What `restore` will be able to put back: only keys that were set before."""
        return {key: self.data[key] for key in keys if key in self.data}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Put back what `keep` kept; everything else stays as the task left it."""
        self.data.update(kept)
