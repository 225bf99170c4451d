"""A container's environment from its spec: envFrom, env, and $(NAME) in values and arguments."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.facts import Facts
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Sources", "expand", "variables"]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_CONFIG_ERROR = "CreateContainerConfigError"


@dataclass(frozen=True)
class Sources:
    """Where values come from: the config map or secret of that name in the pod's namespace, None if there is none."""

    facts: Facts
    config_map: Callable[[str], Json | None]
    secret: Callable[[str], Json | None]


def expand(text: str, value: Callable[[str], str | None]) -> str:
    """Replace $(NAME) by its value; $$ is a dollar sign, and what is unknown stays as it is (Kubernetes' rule)."""

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        found = value(match[1])
        return match[0] if found is None else found

    return _REFERENCE.sub(one, text)


def variables(container: Json, sources: Sources) -> dict[str, str]:
    """The variables that a container's spec gives it, in the order of the spec.

    Raises:
        Blocked: something that is not optional does not exist.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if reference := source.get(field):
                values = _values(kind, reference, sources)
                found.update({source.get("prefix", "") + name: value for name, value in values.items()})
    for entry in container.get("env") or []:
        if entry.get("value"):
            found[entry["name"]] = expand(entry["value"], found.get)
        elif origin := entry.get("valueFrom"):
            value = _value(origin, container, sources)
            if value is not None:
                found[entry["name"]] = value
        else:
            found[entry["name"]] = ""
    return found


def _value(origin: Mapping[str, Json], container: Json, sources: Sources) -> str | None:
    if reference := origin.get("fieldRef"):
        return sources.facts.field(reference["fieldPath"])
    if reference := origin.get("resourceFieldRef"):
        return sources.facts.resource(reference, container)
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if reference := origin.get(field):
            values = _values(kind, reference, sources)
            if reference["key"] not in values and not reference.get("optional"):
                where = f"{kind} {sources.facts.namespace}/{reference.get('name')}"
                raise Blocked(f"couldn't find key {reference['key']} in {where}", reason=_CONFIG_ERROR)
            return values.get(reference["key"])
    raise Blocked(f"unsupported valueFrom: {', '.join(origin)}", reason=_CONFIG_ERROR)


def _values(kind: str, reference: Json, sources: Sources) -> dict[str, str]:
    name = reference.get("name", "")
    obj = sources.config_map(name) if kind == "ConfigMap" else sources.secret(name)
    if obj is None:
        if reference.get("optional"):
            return {}
        raise Blocked(f'{kind.lower()} "{name}" not found', reason=_CONFIG_ERROR)
    data: dict[str, str] = obj.get("data") or {}
    if kind == "ConfigMap":
        return dict(data)
    # A variable holds text: what is no UTF-8 in a secret is shown as well as it can be.
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
