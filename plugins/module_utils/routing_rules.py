# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""From a list of runtimes to queues and SNS filter policies: pure, no AWS.

The rule (the same as in intake's route table): the attribute `runtime` names a runtime > `tier` is a runtime's tier >
`sd_model_checkpoint` is one of a runtime's models > any other model goes to the dynamic runtime > `unrouted`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

UNROUTED = "unrouted"
DEAD = "-dlq"
# Queues <name>-… that other parts of the system own.
RESERVED = (UNROUTED, "karpenter")
RESERVED_PREFIX = "answers-"
# A runtime's name is also that of a Helm release (53 characters) and of Kubernetes objects (RFC 1123 label).
RUNTIME_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")

# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
COMBINATIONS = 150
KEYS = 5
POLICIES = 200
POLICY_BYTES = 256 * 1024

RUNTIME, TIER, MODEL = "runtime", "tier", "sd_model_checkpoint"
ABSENT = {"exists": False}
PRESENT = {"exists": True}

Policy = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One queue: for its models, for every other model (dynamic), for a tier; with none of them only by its name."""

    name: str
    models: tuple[str, ...] = ()
    dynamic: bool = False
    tier: str | None = None
    dialect: str | None = None


def normalise(entries: Iterable[Mapping[str, Any]]) -> list[Runtime]:
    """Runtimes from the operator's list; raises BadInput naming the entry that contradicts itself or another."""
    runtimes = [_runtime(entry) for entry in entries]
    _unique("the name", [(runtime.name, runtime.name) for runtime in runtimes])
    _unique("the tier", [(runtime.tier, runtime.name) for runtime in runtimes if runtime.tier])
    _unique("the model", [(model, runtime.name) for runtime in runtimes for model in runtime.models])
    dynamic = [runtime.name for runtime in runtimes if runtime.dynamic]
    if len(dynamic) > 1:
        raise BadInput(f"runtime {dynamic[1]} is dynamic, but so is {dynamic[0]}: only one can take all other models")
    names = {runtime.name for runtime in runtimes}
    for name in sorted(names):
        if name.endswith(DEAD) and name.removesuffix(DEAD) in names:
            raise BadInput(f"runtime {name} has the name of the dead-letter queue of {name.removesuffix(DEAD)}")
    return runtimes


def _runtime(entry: Mapping[str, Any]) -> Runtime:
    name = entry["name"]
    if not RUNTIME_NAME.fullmatch(name):
        raise BadInput(f"runtime {name!r} must be named with 1 to 53 lower-case letters, digits and hyphens inside")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise BadInput(f"runtime {name} has a name that the system keeps for itself")
    models = tuple(entry.get("models") or ())
    dynamic, tier = bool(entry.get("dynamic")), entry.get("tier") or None
    if bool(models) + dynamic + bool(tier) > 1:
        raise BadInput(f"runtime {name} must have only one of models, dynamic and tier")
    if not all(models) or len(set(models)) != len(models):
        raise BadInput(f"runtime {name} lists an empty model or the same model twice")
    return Runtime(name=name, models=models, dynamic=dynamic, tier=tier, dialect=entry.get("dialect") or None)


def _unique(what: str, pairs: Sequence[tuple[str, str]]) -> None:
    owner: dict[str, str] = {}
    for value, name in pairs:
        if value in owner:
            raise BadInput(f"runtime {name} has {what} {value}, which runtime {owner[value]} has too")
        owner[value] = name


def route(runtimes: Sequence[Runtime], attributes: Mapping[str, str]) -> str:
    """The rule itself: the name of the runtime that a message with these attributes belongs to, or UNROUTED."""
    named = {runtime.name for runtime in runtimes}
    if RUNTIME in attributes:
        return attributes[RUNTIME] if attributes[RUNTIME] in named else UNROUTED
    tiers = {runtime.tier: runtime.name for runtime in runtimes if runtime.tier}
    if attributes.get(TIER) in tiers:
        return tiers[attributes[TIER]]
    if MODEL not in attributes:
        return UNROUTED
    models = {model: runtime.name for runtime in runtimes for model in runtime.models}
    other = next((runtime.name for runtime in runtimes if runtime.dynamic), UNROUTED)
    return models.get(attributes[MODEL], other)


def filter_policies(runtimes: Sequence[Runtime]) -> dict[str, Policy]:
    """The filter policy of each runtime's subscription and of UNROUTED's; an empty one takes everything.

    Each message with at least one attribute matches exactly one of them. A message without any attribute matches none:
    SNS evaluates even {"exists": false} only where there is an attribute at all
    (https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html).
    """
    if not runtimes:
        return {UNROUTED: {}}
    tiers = [runtime.tier for runtime in runtimes if runtime.tier]
    models = [model for runtime in runtimes for model in runtime.models]
    # Neither the runtime named nor the tier decides: the model does.
    by_model: Policy = {RUNTIME: [ABSENT]}
    if tiers:
        by_model[TIER] = [ABSENT, _but(tiers)]
    policies = {runtime.name: _policy(runtime, by_model, models) for runtime in runtimes}
    left: list[Any] = [ABSENT]
    if not any(runtime.dynamic for runtime in runtimes):
        left.append(_but(models))
    unknown = {RUNTIME: [_but([runtime.name for runtime in runtimes])]}
    policies[UNROUTED] = {"$or": [unknown, {**by_model, MODEL: left}]}
    return policies


def _policy(runtime: Runtime, by_model: Policy, models: Sequence[str]) -> Policy:
    named = {RUNTIME: [runtime.name]}
    if runtime.tier:
        return {"$or": [named, {RUNTIME: [ABSENT], TIER: [runtime.tier]}]}
    if runtime.models:
        return {"$or": [named, {**by_model, MODEL: sorted(runtime.models)}]}
    if runtime.dynamic:
        return {"$or": [named, {**by_model, MODEL: [_but(models)]}]}
    return named


def _but(values: Sequence[str]) -> dict[str, Any]:
    """Present and none of the values; SNS refuses an empty anything-but."""
    return {"anything-but": sorted(values)} if values else dict(PRESENT)


def combinations(policy: Policy) -> int:
    """What SNS counts: the product of the sizes of a policy's arrays; the alternatives of $or add up."""
    product = 1
    for key, rules in policy.items():
        product *= sum(combinations(option) for option in rules) if key == "$or" else len(rules)
    return product


def check_limits(policies: Mapping[str, Policy]) -> None:
    """Raise BadInput naming the runtime whose policy breaks one of SNS's limits."""
    for name, policy in policies.items():
        options = policy.get("$or", [policy])
        found = combinations(policy)
        if found > COMBINATIONS:
            raise BadInput(
                f"runtime {name} needs a filter of {found} combinations, SNS allows {COMBINATIONS}: split it"
            )
        if len({key for option in options for key in option}) > KEYS:
            raise BadInput(f"runtime {name} needs a filter of more than {KEYS} keys, which SNS refuses")
        size = len(json.dumps(policy).encode())
        if size > POLICY_BYTES:
            raise BadInput(f"runtime {name} needs a filter of {size} bytes, SNS allows {POLICY_BYTES}")
    if len(policies) > POLICIES:
        surplus = [name for name in policies if name != UNROUTED][POLICIES - 1]
        raise BadInput(f"runtime {surplus} is one too many: SNS allows {POLICIES} filter policies a topic")


def route_table(runtimes: Sequence[Runtime]) -> dict[str, Any]:
    """The route table that intake reads."""
    return {
        "runtimes": {
            runtime.name: {
                "models": list(runtime.models) or None,
                "dynamic": runtime.dynamic,
                "tier": runtime.tier,
                "dialect": runtime.dialect,
            }
            for runtime in runtimes
        }
    }
