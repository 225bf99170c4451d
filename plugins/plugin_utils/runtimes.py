# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What an entry of sd_runtimes may say, what it means where it is silent, and what contradicts what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.plugin_utils.schema import Field, Schema, merged, normalise

# Kubernetes: names that become labels (RFC 1123). https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_LABEL_HINT = "may hold only lower-case letters, digits and inner hyphens"
_GIBIBYTES = Field(type=str, default="80Gi", pattern=r"[1-9]\d*Gi", hint="is not a size such as 80Gi")
_DURATION = r"(\d+(h|m|s))+|Never"
_DURATION_HINT = "is not a duration such as 60s, 10m or Never"

RUNTIME: Schema = {
    "name": Field(type=str, required=True, pattern=LABEL, hint=_LABEL_HINT),
    "namespace": Field(type=str, pattern=LABEL, hint=_LABEL_HINT),
    "models": Field(
        type=list,
        default=[],
        pattern=r"[^/\\\s\[\]][^/\\\[\]]*",
        hint="is not a plain file name (no path, and no title with a hash in brackets)",
    ),
    "dynamic": Field(type=bool, default=False),
    "tier": Field(type=str, pattern=LABEL, hint=_LABEL_HINT),
    "model_source": Field(type=str, choices=("efs", "snapshot", "s3")),
    "webui": {
        "kind": Field(type=str, default="a1111", choices=("a1111", "comfyui")),
        "image": Field(type=str, required=True),
        "args": Field(type=list, default=[]),
        "env": Field(type=dict, default={}),
        # One GPU, and what the smallest default instance type (g4dn.xlarge: 4 CPU, 16 GiB) has to give.
        "resources": Field(
            type=dict,
            default={"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"nvidia.com/gpu": 1}},
        ),
    },
    "agent": {
        "image": Field(type=str, required=True),
        "env": Field(type=dict, default={}),
        "resources": Field(
            type=dict,
            default={"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        ),
    },
    "persistence": {"existing_claim": Field(type=str)},
    "scaling": {
        "queue_length": Field(type=int, default=10, low=1),
        "cooldown_period": Field(type=int, default=60, low=0),
        "polling_interval": Field(type=int, default=1, low=1),
        "min_replicas": Field(type=int, default=0, low=0),
        "max_replicas": Field(type=int, default=10, low=1),
    },
    "nodes": {
        "instance_types": Field(
            type=list,
            default=["g5.xlarge", "g5.2xlarge", "g4dn.xlarge", "g4dn.2xlarge"],
            pattern=r"[a-z0-9-]+\.[a-z0-9-]+",
            hint="is not an instance type such as g5.xlarge",
        ),
        "capacity_types": Field(type=list, default=["spot", "on-demand"], choices=("spot", "on-demand")),
        "data_volume": {
            "size": _GIBIBYTES,
            "type": Field(type=str, default="gp3", choices=("gp3", "gp2", "io2", "io1")),
            # gp3's bounds: https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
            "iops": Field(type=int, default=4000, low=100),
            "throughput": Field(type=int, default=1000, low=125, high=2000),
            "snapshot_id": Field(type=str, pattern=r"snap-[0-9a-f]+", hint="is not a snapshot's id (snap-…)"),
            "delete_on_termination": Field(type=bool, default=True),
        },
        "consolidate_after": Field(type=str, default="60s", pattern=_DURATION, hint=_DURATION_HINT),
        "expire_after": Field(type=str, default="720h", pattern=_DURATION, hint=_DURATION_HINT),
        "limits": Field(type=dict, default={}),
    },
    "timeout": Field(type=int, default=600, low=1),
    "max_attempts": Field(type=int, default=3, low=1),
    "dialect": Field(type=str, choices=("default", "v1alpha1", "sagemaker")),
}

# Queues and roles that other parts of the system already call <sd_name>-<this>.
RESERVED = (
    "unrouted",
    "karpenter",
    "keda",
    "intake",
    "cluster",
    "node",
    "input",
    "output",
    "tasks",
    "models",
    "outputs",
)

# What is named after a runtime, and how long AWS, Kubernetes and helm let that name be.
_LIMITS: tuple[tuple[str, int, Callable[[str, str], str]], ...] = (
    ("helm release", 53, lambda sd, name: name),
    ("dead-letter queue", 80, lambda sd, name: f"{sd}-{name}-dlq"),
    ("node pool", 63, lambda sd, name: f"{sd}-{name}"),
    ("IAM role", 64, lambda sd, name: f"{sd}-{name}-agent"),
)


def runtimes(
    entries: Any, sd_name: str, defaults: Mapping[str, Any] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The entries with every default filled in, and all problems, each naming its entry.

    entries: sd_runtimes as the operator wrote it. defaults: sd_runtime_defaults, laid under each entry.
    Keys without a value and without a default (tier, snapshot_id, …) are left out of the result.
    """
    problems: list[str] = []
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return [], ["sd_runtimes: must be a list of runtimes"]
    if defaults is not None and not isinstance(defaults, Mapping):
        return [], ["sd_runtime_defaults: must be a mapping"]
    done: list[dict[str, Any]] = []
    for position, entry in enumerate(entries):
        where = _place("sd_runtimes", position, entry)
        whole = merged(defaults or {}, entry) if isinstance(entry, Mapping) else entry
        runtime = normalise(whole, RUNTIME, where, problems)
        runtime.setdefault("namespace", sd_name)
        problems.extend(f"{where}{problem}" for problem in _alone(runtime, whole, sd_name))
        done.append(runtime)
    problems.extend(_together(done))
    return done, problems


def _place(variable: str, position: int, entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return f"{variable}[{position}] ({name})" if isinstance(name, str) else f"{variable}[{position}]"


def _alone(runtime: Mapping[str, Any], written: Any, sd_name: str) -> Iterator[str]:
    """What is wrong with one entry beyond its types."""
    serves = [key for key in ("models", "dynamic", "tier") if runtime.get(key)]
    # A malformed value was reported already; it still says what the entry means to serve.
    meant = isinstance(written, Mapping) and any(written.get(key) for key in ("models", "dynamic", "tier"))
    if len(serves) > 1:
        yield f": has {' and '.join(serves)}; a runtime has exactly one of models, dynamic and tier"
    elif not serves and not meant:
        yield ": says neither models nor dynamic nor tier, so no request would reach it"
    name = runtime.get("name")
    if name is not None:
        yield from _name(name, sd_name)
    if len(runtime["namespace"]) > 63:
        yield f".namespace: has {len(runtime['namespace'])} characters, Kubernetes allows 63"
    for part in ("webui", "agent"):
        yield from (f".{part}.image: {problem}" for problem in _image(runtime[part].get("image")))
        yield from (f".{part}.env: {problem}" for problem in _env(runtime[part]["env"]))
    scaling = runtime["scaling"]
    if scaling["min_replicas"] > scaling["max_replicas"]:
        yield f".scaling: min_replicas {scaling['min_replicas']} is more than max_replicas {scaling['max_replicas']}"
    volume = runtime["nodes"]["data_volume"]
    if volume["type"] == "gp3" and volume["throughput"] * 4 > volume["iops"]:
        least = volume["throughput"] * 4
        yield (
            f".nodes.data_volume: throughput {volume['throughput']} MiB/s needs at least {least} iops on gp3,"
            f" not {volume['iops']}"
        )
    for key in ("instance_types", "capacity_types"):
        if not runtime["nodes"][key]:
            yield f".nodes.{key}: is empty"


def _name(name: str, sd_name: str) -> Iterator[str]:
    for what, limit, compose in _LIMITS:
        whole = compose(sd_name, name)
        if len(whole) > limit:
            yield f".name: is too long; its {what} {whole} would have {len(whole)} characters of {limit}"
            return
    if name in RESERVED or name.startswith("answers-") or name.endswith("-dlq"):
        yield f".name: {sd_name}-{name} is the name of something else in this system; choose another"


def _image(image: str | None) -> Iterator[str]:
    if image is None:
        return
    repository, _at, digest = image.partition("@")
    tag = repository.rsplit("/", 1)[-1].partition(":")[2]
    if not re.fullmatch(r"[A-Za-z0-9][\w.:/@+-]*", image):
        yield f'"{image}" is not an image reference'
    elif digest:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            yield f'"{image}" has a malformed digest (sha256: and 64 hex digits)'
    elif not tag:
        yield f'"{image}" has no tag; pin one, or a digest'
    elif tag == "latest":
        yield f'"{image}" is tagged latest; pin a version, or a digest'


def _env(env: Mapping[str, Any]) -> Iterator[str]:
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            yield f'"{name}" is not a name for an environment variable'
        elif isinstance(value, (bool, Mapping, list)) or value is None:
            yield f"{name} must be text or a number (quote it)"


def _together(done: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What two entries say against each other."""
    for name in _twice(runtime.get("name") for runtime in done):
        yield f'sd_runtimes: the name "{name}" is given to more than one runtime'
    dynamic = [str(runtime.get("name")) for runtime in done if runtime["dynamic"]]
    if len(dynamic) > 1:
        yield f"sd_runtimes: only one runtime can be dynamic, not {' and '.join(dynamic)}"
    for tier in _twice(runtime.get("tier") for runtime in done):
        yield f'sd_runtimes: the tier "{tier}" is given to more than one runtime'
    for model in _twice(model for runtime in done for model in runtime.get("models", ())):
        owners = [str(runtime.get("name")) for runtime in done if model in runtime.get("models", ())]
        yield f'sd_runtimes: the model "{model}" is listed more than once (in {", ".join(owners)})'


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(value for value in values if value is not None).items() if count > 1]
