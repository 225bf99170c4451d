"""What lies in a pod's config map, secret, downward API and projected volumes; and writing it."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.environment import Sources
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["KINDS", "File", "contents", "token_sources", "write"]

# The volume types whose content comes from the API server.
KINDS = ("configMap", "secret", "downwardAPI", "projected")

_MODE = 0o644


@dataclass(frozen=True)
class File:
    """A file of a volume."""

    data: bytes
    mode: int = _MODE


def token_sources(volume: Json) -> list[Json]:
    """The service account tokens that a volume asks for."""
    sources = (volume.get("projected") or {}).get("sources") or []
    return [source["serviceAccountToken"] for source in sources if source.get("serviceAccountToken")]


def contents(volume: Json, sources: Sources, tokens: Mapping[str, bytes]) -> dict[str, File]:
    """The files of a volume by relative path.

    Args:
        volume: its spec.
        sources: of config maps, secrets and fields.
        tokens: of service accounts, by path.

    Raises:
        Blocked: something that is not optional does not exist.
    """
    try:
        if projected := volume.get("projected"):
            mode = int(projected.get("defaultMode") or _MODE)
            files: dict[str, File] = {}
            for source in projected.get("sources") or []:
                files.update(_source(source, mode, sources, tokens))
            return files
        kind = next(kind for kind in KINDS if kind in volume)
        mode = int(volume[kind].get("defaultMode") or _MODE)
        return _source({kind: volume[kind]}, mode, sources, tokens)
    except Blocked as blocked:
        message = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {blocked.message}'
        raise Blocked(message, event="FailedMount") from blocked


def _source(source: Json, mode: int, sources: Sources, tokens: Mapping[str, bytes]) -> dict[str, File]:
    if spec := source.get("configMap"):
        return _object("configmap", spec, spec.get("name"), mode, sources)
    if spec := source.get("secret"):
        return _object("secret", spec, spec.get("secretName") or spec.get("name"), mode, sources)
    if spec := source.get("serviceAccountToken"):
        return {spec["path"]: File(tokens[spec["path"]], mode)}
    if "downwardAPI" in source:
        return {
            item["path"]: File(_item(item, sources).encode(), int(item.get("mode") or mode))
            for item in (source["downwardAPI"] or {}).get("items") or []
        }
    raise Blocked(f"the sandbox has no projected source {', '.join(source)}")


def _item(item: Json, sources: Sources) -> str:
    if reference := item.get("fieldRef"):
        return sources.facts.field(reference["fieldPath"])
    return sources.facts.resource(item["resourceFieldRef"], None)


def _object(kind: str, spec: Json, name: Any, mode: int, sources: Sources) -> dict[str, File]:
    obj = sources.config_map(name) if kind == "configmap" else sources.secret(name)
    if obj is None:
        if spec.get("optional"):
            return {}
        raise Blocked(f'{kind} "{name}" not found')
    data = _data(kind, obj)
    if not spec.get("items"):
        return {key: File(value, mode) for key, value in data.items()}
    files = {}
    for item in spec["items"]:
        if item["key"] in data:
            files[item["path"]] = File(data[item["key"]], int(item.get("mode") or mode))
        elif not spec.get("optional"):
            raise Blocked(f"{kind} references non-existent {kind} key: {item['key']}")
    return files


def _data(kind: str, obj: Json) -> dict[str, bytes]:
    if kind == "secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    text = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    return text | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}


def write(directory: Path, files: Mapping[str, File]) -> None:
    """Make a directory hold exactly these files; each changes as a whole, so a reader never sees half of one."""
    directory.mkdir(parents=True, exist_ok=True)
    for relative, file in files.items():
        path = directory / relative
        with contextlib.suppress(OSError):
            if path.read_bytes() == file.data:
                continue
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.new")
        unfinished.write_bytes(file.data)
        unfinished.chmod(file.mode)
        unfinished.replace(path)
    wanted = {directory / relative for relative in files}
    for path in directory.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink(missing_ok=True)
