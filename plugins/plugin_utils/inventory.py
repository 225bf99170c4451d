# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""All that can be wrong in an inventory before any call is made: the sd_* variables, each and against each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.plugin_utils.runtimes import LABEL, runtimes
from ansible_collections.stable_diffusion.eks.plugins.plugin_utils.schema import Field, Schema, nearest, normalise

KEPT = ("models", "outputs")

_ACCOUNT_DIGITS = 12
_BUCKET_LONGEST = 63
# Beginnings that EC2 (security groups) and S3 (buckets) keep for themselves.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_NO_BEGINNINGS = ("sg-", "xn--", "sthree-", "amzn-s3-demo-")
# A function's environment holds 4 KB in all (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html);
# what else intake has there takes less than the rest.
_TENANTS_LONGEST = 3400

SYSTEM: Schema = {
    "sd_name": Field(
        type=str,
        required=True,
        pattern=r"[a-z][a-z0-9-]*[a-z0-9]",
        hint="must begin with a letter and hold only lower-case letters, digits and inner hyphens",
    ),
    "sd_region": Field(
        type=str, required=True, pattern=r"[a-z]{2}(-[a-z]+)+-\d", hint="is not a region such as us-west-2"
    ),
    "sd_keep": Field(type=list, default=list(KEPT), choices=KEPT),
    "sd_only": Field(type=list, default=[]),
    "sd_task_retention": Field(type=int, default=30, low=1, high=3650),
    "sd_tags": Field(type=dict, default={}),
}

TENANT: Schema = {
    "name": Field(type=str, required=True, pattern=LABEL, hint="may hold only lower-case letters, digits and hyphens"),
    "tier": Field(type=str),
    # API Gateway takes keys of 20 to 128 characters.
    "api_key": Field(type=str, required=True, pattern=r"\S{20,128}", hint="must have 20 to 128 characters"),
}

SUBSCRIBER: Schema = {
    "name": Field(type=str, required=True, pattern=LABEL, hint="may hold only lower-case letters, digits and hyphens"),
    "protocol": Field(type=str, default="sqs", choices=("sqs", "http", "https")),
    "endpoint": Field(type=str),
    "raw": Field(type=bool, default=False),
    "filter": {
        "tenant": Field(type=list, default=[]),
        "runtime": Field(type=list, default=[]),
        "status": Field(type=list, default=[], choices=("completed", "failed", "cancelled")),
    },
    "dead_letter": Field(type=bool),
}


def problems(settings: Mapping[str, Any]) -> list[str]:
    """Every mistake in the sd_* variables, one sentence each, naming the entry.

    settings: the variables by name; what is missing or None counts as not given. Secrets never appear in the text.
    """
    found: list[str] = []
    system = {}
    for name, rule in SYSTEM.items():
        # Variables are told by their own names: "sd_name: is missing", not "inventory.sd_name".
        texts: list[str] = []
        system.update(normalise({name: settings.get(name)}, {name: rule}, "", texts))
        found.extend(text.lstrip(".") for text in texts)
    found.extend(_beginning(system.get("sd_name", "")))
    found.extend(_bucket(system))
    entries, wrong = runtimes(
        settings.get("sd_runtimes", []), system.get("sd_name", ""), settings.get("sd_runtime_defaults")
    )
    found.extend(wrong)
    names = [entry["name"] for entry in entries if "name" in entry]
    found.extend(
        f'sd_only: there is no runtime "{name}"{nearest(name, names)}'
        for name in system["sd_only"]
        if name not in names
    )
    found.extend(_tenants(settings.get("sd_tenants") or []))
    found.extend(_listed("sd_subscribers", settings.get("sd_subscribers") or [], SUBSCRIBER))
    return found


def _beginning(name: str) -> list[str]:
    # Everything is called <name>-…, so "sg" alone is as bad.
    return [
        f"sd_name: {name}-… begins with {beginning}, which AWS allows in no name of a security group or bucket"
        for beginning in _NO_BEGINNINGS
        if f"{name}-".startswith(beginning)
    ]


def _bucket(system: Mapping[str, Any]) -> list[str]:
    name, region = system.get("sd_name"), system.get("sd_region")
    if not name or not region:
        return []
    most = _BUCKET_LONGEST - len("-outputs-") - _ACCOUNT_DIGITS - len(f"-{region}")
    if len(name) <= most:
        return []
    bucket = f"{name}-outputs-<account>-{region}"
    return [f"sd_name: has {len(name)} characters; at most {most} leave room for the bucket {bucket}"]


def _tenants(entries: Any) -> list[str]:
    found = _listed("sd_tenants", entries, TENANT, secret="api_key")
    if not found and any(entry["name"] == "default" for entry in entries):
        found.append("sd_tenants: default is the name of those who have no key of their own; choose another")
    if not found and len({entry["api_key"] for entry in entries}) < len(entries):
        found.append("sd_tenants: two tenants have the same api_key")
    size = 0 if found else _environment_size(entries)
    if size > _TENANTS_LONGEST:
        found.append(
            f"sd_tenants: {len(entries)} tenants take {size} characters of the function's environment,"
            f" which has room for {_TENANTS_LONGEST}; shorten names and tiers, or list fewer"
        )
    return found


def _environment_size(tenants: Sequence[Mapping[str, Any]]) -> int:
    """How long the variable SD_TENANTS gets, which the role intake makes."""
    known = {
        f"{position:016}": {key: tenant[key] for key in ("name", "tier") if key in tenant}
        for position, tenant in enumerate(tenants)
    }
    return len(json.dumps(known))


def _listed(variable: str, entries: Any, schema: Schema, secret: str = "") -> list[str]:
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return [f"{variable}: must be a list"]
    found: list[str] = []
    names: list[str] = []
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        where = f"{variable}[{position}]" + (f" ({name})" if isinstance(name, str) else "")
        texts: list[str] = []
        done = normalise(entry, schema, where, texts)
        found.extend(_masked(text, where, secret) for text in texts)
        names.extend([done["name"]] if "name" in done else [])
    twice = [name for name, count in Counter(names).items() if count > 1]
    return found + [f'{variable}: the name "{name}" is given more than once' for name in twice]


def _masked(text: str, where: str, secret: str) -> str:
    """The problem without the value, where the value is a secret."""
    if secret and text.startswith(f"{where}.{secret}:") and "is missing" not in text:
        return f"{where}.{secret}: must be text of 20 to 128 characters"
    return text
