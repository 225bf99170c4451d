"""Which runtime serves a request: a pure function over the route table that the routing role publishes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sd_agent.contract.errors import ConfigurationError, InvalidRequest, NoRuntime
from sd_agent.contract.jsonvalue import loads_object
from sd_agent.contract.task import Task

__all__ = ["EMPTY_ROUTES", "Route", "RouteTable", "RoutedBy", "Runtime", "route"]


class RoutedBy(StrEnum):
    """What chose the runtime, in order of precedence."""

    RUNTIME = "runtime"
    TIER = "tier"
    MODEL = "model"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One entry of the route table. models: file names, None where the runtime lists none."""

    name: str
    models: frozenset[str] | None = None
    dynamic: bool = False
    tier: str | None = None
    dialect: str | None = None

    def lists(self, model: str | None) -> bool:
        """Whether this runtime's list of models holds `model`."""
        return model is not None and self.models is not None and model in self.models


@dataclass(frozen=True)
class RouteTable:
    """All runtimes, by name."""

    runtimes: Mapping[str, Runtime]

    @classmethod
    def parse(cls, text: str) -> RouteTable:
        """Read the JSON of the route table's item. Raises ConfigurationError where it isn't one."""
        try:
            entries = loads_object(text).get("runtimes")
        except InvalidRequest as error:
            raise ConfigurationError(f"the route table is damaged: {error.message}") from None
        if not isinstance(entries, dict):
            raise ConfigurationError("the route table has no runtimes")
        return cls({name: _runtime(name, entry) for name, entry in sorted(entries.items())})


EMPTY_ROUTES = RouteTable({})


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a request goes, and why."""

    runtime: str
    by: RoutedBy


def route(table: RouteTable, task: Task, tier: str | None = None) -> Route:
    """The runtime for `task`; explicit runtime > tier > model > dynamic. Raises NoRuntime.

    A runtime with a tier takes only requests of that tier (or those that name it); of equals the first by name wins.
    """
    runtimes = table.runtimes.values()
    if task.runtime is not None:
        if task.runtime not in table.runtimes:
            raise NoRuntime(f"there is no runtime called {task.runtime}", "runtime")
        return Route(runtime=task.runtime, by=RoutedBy.RUNTIME)
    model = task.model_file
    if tier is not None:
        tiered = [runtime for runtime in runtimes if runtime.tier == tier]
        found = _first(runtime for runtime in tiered if runtime.models is None or runtime.lists(model))
        if found is not None:
            return Route(runtime=found.name, by=RoutedBy.TIER)
    if model is None:
        raise NoRuntime("the request names neither a runtime nor a model", "runtime")
    open_to_all = [runtime for runtime in runtimes if runtime.tier is None]
    found = _first(runtime for runtime in open_to_all if runtime.lists(model))
    if found is not None:
        return Route(runtime=found.name, by=RoutedBy.MODEL)
    found = _first(runtime for runtime in open_to_all if runtime.dynamic)
    if found is not None:
        return Route(runtime=found.name, by=RoutedBy.DYNAMIC)
    raise NoRuntime(f"no runtime serves the model {model}", "sd_model_checkpoint")


def _first(runtimes: Iterable[Runtime]) -> Runtime | None:
    return next(iter(runtimes), None)


def _runtime(name: str, entry: Any) -> Runtime:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"the route table's entry {name} is not an object")
    models = entry.get("models")
    if models is not None and not (isinstance(models, list) and all(isinstance(model, str) for model in models)):
        raise ConfigurationError(f"the route table's entry {name} has models that are not a list of names")
    return Runtime(
        name=name,
        models=frozenset(models) if models else None,
        dynamic=bool(entry.get("dynamic")),
        tier=entry.get("tier") or None,
        dialect=entry.get("dialect") or None,
    )
