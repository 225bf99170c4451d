# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""From the configuration of aws-samples/stable-diffusion-on-eks to sd_runtimes, and what of it has no place there.

The format, of both of its chart's generations (extraValues.sdWebuiInferenceApi, later extraValues.runtime):
https://github.com/aws-samples/stable-diffusion-on-eks/blob/main/config.schema.yaml
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

KINDS = {"sdwebui": "a1111", "comfyui": "comfyui"}
# The name that the runtime of dynamicModelRuntime gets; there it has none.
DYNAMIC = "dynamic"
_GENERATIONS = ("runtime", "sdWebuiInferenceApi")

_SCALING = {
    "queueLength": "queue_length",
    "cooldownPeriod": "cooldown_period",
    "pollingInterval": "polling_interval",
    "minReplicaCount": "min_replicas",
    "maxReplicaCount": "max_replicas",
}
_VOLUME = {
    "volumeSize": "size",
    "volumeType": "type",
    "iops": "iops",
    "throughput": "throughput",
    "snapshotID": "snapshot_id",
    "deleteOnTermination": "delete_on_termination",
}
# Why something has no place, by the end of its path; what is not here is only named.
_REASONS = {
    "stackName": "choose sd_name",
    "modelBucketArn": "models have a bucket of this system",
    "APIGW": "the API is the role intake's",
    "queueAgent": "the agent is another program: give agent in sd_runtime_defaults",
    "osVolume": "only the data volume can be chosen",
    "chartRepository": "the chart is the role's own",
    "chartVersion": "the chart is the role's own",
    "storageClass": "claims are not made here: name one as persistence.existing_claim",
    "size": "claims are not made here: name one as persistence.existing_claim",
    "accessModes": "claims are not made here: name one as persistence.existing_claim",
}


class _Reader:
    """A mapping that forgets what was taken from it, so that what is left is what nobody knew a place for."""

    def __init__(self, where: str, content: Any, lost: list[str]) -> None:
        self._where, self._lost = where, lost
        self._content: dict[str, Any] = {}
        if isinstance(content, Mapping):
            self._content = copy.deepcopy(dict(content))
        elif content is not None:
            self._lost.append(f"{where}: is no mapping")

    def take(self, path: str) -> Any:
        """The value at a path with dots, None if there is none; it counts as carried over."""
        *parents, last = path.split(".")
        found: Any = self._content
        for parent in parents:
            found = found.get(parent) if isinstance(found, MutableMapping) else None
        return found.pop(last, None) if isinstance(found, MutableMapping) else None

    def lose(self, path: str, why: str) -> None:
        """Something that was taken after all has no place."""
        self._lost.append(f"{self._where}: {path} is not carried over: {why}")

    def report(self, path: str, what: str) -> None:
        """Something that is carried over, but not as it is."""
        self._lost.append(f"{self._where}: {path} {what}")

    def rest(self) -> None:
        """Report all that nobody took."""
        for path in _leaves(self._content):
            reasons = [reason for part, reason in _REASONS.items() if part in path.split(".")]
            self._lost.append(f"{self._where}: {path} is not carried over" + (f": {reasons[0]}" if reasons else ""))


def _leaves(content: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        # An empty list or text says nothing.
        elif value not in (None, "", []):
            yield f"{before}{key}"


def runtimes_from_cdk(configuration: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """sd_runtimes, and one sentence for each setting that they leave out or that needs a look.

    Raises ValueError if it is no such configuration.
    """
    entries = configuration.get("modelsRuntime") if isinstance(configuration, Mapping) else None
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ValueError("a configuration of stable-diffusion-on-eks has a list modelsRuntime")
    lost: list[str] = []
    whole = _Reader("config", configuration, lost)
    whole.take("modelsRuntime")
    dynamic = whole.take("dynamicModelRuntime")
    done = []
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        where = f"modelsRuntime[{position}]" + (f" ({name})" if name else "")
        done.append(_runtime(_Reader(where, entry, lost)))
    if isinstance(dynamic, Mapping) and dynamic.get("enabled"):
        entry = {key: value for key, value in dynamic.items() if key != "enabled"}
        done.append(_runtime(_Reader("dynamicModelRuntime", {"name": DYNAMIC, "dynamicModel": True, **entry}, lost)))
        lost.append(f"dynamicModelRuntime: its runtime had no name here and is called {DYNAMIC}")
    whole.rest()
    return done, lost


def _runtime(read: _Reader) -> dict[str, Any]:
    done = {"name": read.take("name"), "namespace": read.take("namespace"), **_serves(read)}
    webui = _kind(read)
    nodes = _nodes(read)
    for generation in _GENERATIONS:
        values = f"extraValues.{generation}"
        webui.update(_webui(read, f"{values}.inferenceApi"))
        done["scaling"] = done.get("scaling") or _scaling(read, f"{values}.scaling")
        done["persistence"] = done.get("persistence") or _persistence(read, f"{values}.persistence")
        _agent(read, f"{values}.queueAgent.image")
    read.rest()
    return {key: value for key, value in {**done, "webui": webui, "nodes": nodes}.items() if value not in (None, {})}


def _serves(read: _Reader) -> dict[str, Any]:
    model, dynamic = read.take("modelFilename"), read.take("dynamicModel")
    if dynamic:
        if model:
            read.lose("modelFilename", "a dynamic runtime takes every model that no other lists")
        return {"dynamic": True}
    if model:
        return {"models": [str(model)]}
    read.report("modelFilename", "is missing: give the runtime models, dynamic or tier")
    return {}


def _kind(read: _Reader) -> dict[str, Any]:
    kind = read.take("type")
    if kind is None:
        return {}
    known = KINDS.get(str(kind).lower())
    if known is None:
        read.lose("type", f"there is no WebUI {kind} here")
    return {"kind": known} if known else {}


def _image(read: _Reader, path: str) -> str | None:
    image = read.take(path)
    if isinstance(image, Mapping):
        repository, tag = image.get("repository"), image.get("tag")
        image = f"{repository}:{tag}" if repository and tag else repository
        if not repository:
            read.lose(f"{path}.tag", "the default repository is not this system's")
    if not image:
        return None
    tag = str(image).rsplit("/", 1)[-1].partition(":")[2]
    if tag in ("", "latest") and "@" not in str(image):
        read.report(path, f"is {image}: pin a version, {'latest is' if tag else 'an image without a tag is'} refused")
    return str(image)


def _webui(read: _Reader, path: str) -> dict[str, Any]:
    arguments = read.take(f"{path}.commandArguments")
    found = {
        "image": _image(read, f"{path}.image"),
        "args": shlex.split(arguments) if isinstance(arguments, str) else arguments,
        "env": _env(read, f"{path}.extraEnv"),
        "resources": read.take(f"{path}.resources"),
    }
    return {key: value for key, value in found.items() if value}


def _env(read: _Reader, path: str) -> dict[str, Any]:
    """Names and values, from a mapping or from Kubernetes' list of them."""
    written = read.take(path) or {}
    if isinstance(written, Mapping):
        return dict(written)
    found = {}
    for entry in written:
        if isinstance(entry, Mapping) and "name" in entry and "value" in entry:
            found[entry["name"]] = entry["value"]
        else:
            name = entry.get("name") if isinstance(entry, Mapping) else entry
            read.lose(f"{path} {name}", "only plain values are")
    return found


def _agent(read: _Reader, path: str) -> None:
    image = _image(read, path)
    if image:
        read.lose(path, _REASONS["queueAgent"])


def _scaling(read: _Reader, path: str) -> dict[str, Any]:
    if read.take(f"{path}.enabled") is False:
        read.lose(f"{path}.enabled", "every runtime is scaled; min_replicas keeps some")
    return _renamed(read, path, _SCALING)


def _persistence(read: _Reader, path: str) -> dict[str, Any]:
    enabled, claim = read.take(f"{path}.enabled"), read.take(f"{path}.existingClaim")
    if enabled is False:
        if claim:
            read.lose(f"{path}.existingClaim", "persistence is not enabled")
        return {}
    if claim:
        return {"existing_claim": claim}
    if enabled:
        read.lose(f"{path}.enabled", "it names no existingClaim, and claims are not made here")
    return {}


def _nodes(read: _Reader) -> dict[str, Any]:
    provisioner, template = "extraValues.karpenter.provisioner", "extraValues.karpenter.nodeTemplate"
    types = read.take(f"{provisioner}.instanceType")
    limits = read.take(f"{provisioner}.resourceLimits") or {}
    if read.take(f"{provisioner}.consolidation") is False:
        read.lose(f"{provisioner}.consolidation", "give nodes.consolidate_after: Never")
    family = read.take(f"{template}.amiFamily")
    if family not in (None, "Bottlerocket"):
        read.lose(f"{template}.amiFamily", f"nodes run Bottlerocket, not {family}")
    found = {
        "instance_types": [types] if isinstance(types, str) else types,
        "capacity_types": _capacity(read, f"{provisioner}.capacityType"),
        "limits": {name: str(value) for name, value in limits.items()},
        "consolidate_after": read.take(f"{provisioner}.disruption.consolidateAfter"),
        "expire_after": read.take(f"{provisioner}.disruption.expireAfter"),
        "data_volume": _renamed(read, f"{template}.dataVolume", _VOLUME),
    }
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _capacity(read: _Reader, path: str) -> list[str]:
    """Both are allowed where nothing is said."""
    spot, on_demand = read.take(f"{path}.spot"), read.take(f"{path}.onDemand")
    if spot is None and on_demand is None:
        return []
    return [*(["spot"] if spot is not False else []), *(["on-demand"] if on_demand is not False else [])]


def _renamed(read: _Reader, path: str, names: Mapping[str, str]) -> dict[str, Any]:
    found = {ours: read.take(f"{path}.{theirs}") for theirs, ours in names.items()}
    return {name: value for name, value in found.items() if value is not None}
