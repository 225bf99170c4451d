# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What every AWS module of this collection shares, on top of amazon.aws's AnsibleAWSModule.

A module is three functions and a main:

    def plan(current, wanted) -> list[Change]        # pure; in module_utils when it is more than a screen
    def apply(client, changes) -> None               # not called in check mode
    def perform(module) -> Result                    # normalise, list, plan, apply, state
    def main(): run(perform, argument_spec, required_if=[...])
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

with contextlib.suppress(ImportError):  # AnsibleAWSModule says what is missing
    import botocore.exceptions

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import compare_aws_tags
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, before_after
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import AwsFailure, Failure

T = TypeVar("T")

# Goes with the documentation fragment amazon.aws.tags.
TAGS_SPEC = {
    "tags": {"type": "dict", "aliases": ["resource_tags"]},
    "purge_tags": {"type": "bool", "default": True},
}

# One client serves all threads of together(); more attempts than botocore's three: a list of 100 gets throttled.
WORKERS = 10
CLIENT_CONFIG = {"retries": {"mode": "standard", "total_max_attempts": 10}, "max_pool_connections": WORKERS}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What perform gives back: the plan (empty: unchanged) and the facts that the module returns beside it."""

    changes: list[Change] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """Where a module works: the account behind the credentials, its partition (aws, aws-cn, …) and the region."""

    id: str
    partition: str
    region: str

    def arn(self, service: str, resource: str, *, region: str | None = None, account: str | None = None) -> str:
        """An ARN in this account; pass region="" for IAM, region="" and account="" for S3."""
        where = self.region if region is None else region
        owner = self.id if account is None else account
        return f"arn:{self.partition}:{service}:{where}:{owner}:{resource}"

    @property
    def root(self) -> str:
        """The principal that stands for the whole account."""
        return self.arn("iam", "root", region="")


def run(perform: Callable[[AnsibleAWSModule], Result], argument_spec: Mapping[str, Any], **kwargs: Any) -> NoReturn:
    """Make the module, perform, and exit with changed, diff, changes (one line each) and the facts; or fail.

    kwargs go to AnsibleModule (required_if, mutually_exclusive, …). Check mode is always supported.
    """
    module = AnsibleAWSModule(argument_spec=dict(argument_spec), supports_check_mode=True, **kwargs)
    try:
        result = perform(module)
    except Failure as error:
        module.fail_json(msg=str(error))
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        module.fail_json_aws(error)
    module.exit_json(
        changed=bool(result.changes),
        diff=before_after(result.changes),
        changes=[str(change) for change in result.changes],
        **result.facts,
    )


def client(module: AnsibleAWSModule, service: str) -> Any:
    """A boto3 client that retries what AWS asks to retry, for use by several threads."""
    return module.client(service, config=CLIENT_CONFIG)


def account(module: AnsibleAWSModule) -> Account:
    """One call of sts:GetCallerIdentity, which needs no permission."""
    with doing("find out the AWS account"):
        arn = client(module, "sts").get_caller_identity()["Arn"]
    return Account(id=arn.split(":")[4], partition=arn.split(":")[1], region=module.region)


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what was being done when AWS refuses: `with doing("create queue sd-anime"): …`; raises AwsFailure."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        answer = error.response.get("Error", {})
        text = f"{answer.get('Code', 'error')}: {answer.get('Message', error)}"
        raise AwsFailure(f"could not {what}: {error.operation_name} answered {text}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise AwsFailure(f"could not {what}: {error}") from error


def code(error: BaseException) -> str:
    """AWS's error code of a ClientError, "" for any other exception."""
    return getattr(error, "response", {}).get("Error", {}).get("Code", "")


def found(call: Callable[..., T], *missing: str, **kwargs: Any) -> T | None:
    """call(**kwargs), or None where AWS answers one of the error codes that mean "there is none"."""
    try:
        return call(**kwargs)
    except botocore.exceptions.ClientError as error:
        if code(error) in missing:
            return None
        raise


def together(calls: Iterable[Callable[[], T]], workers: int = WORKERS) -> list[T]:
    """Run calls that don't depend on each other by a small pool; their answers in order.

    All of them run even if one fails (a half-stopped list is no easier to repeat); then the first error is raised.
    """
    with concurrent.futures.ThreadPoolExecutor(max_workers=workers) as pool:
        futures = [pool.submit(call) for call in calls]
    return [future.result() for future in futures]


def pages(client_: Any, operation: str, key: str, **kwargs: Any) -> list[Any]:
    """All entries under key of a paginated operation."""
    return [entry for page in client_.get_paginator(operation).paginate(**kwargs) for entry in page.get(key) or ()]


def tag_changes(
    current: Mapping[str, str], wanted: Mapping[str, str] | None, purge: bool
) -> tuple[dict[str, str], list[str]]:
    """Tags to set and keys to remove; None as wanted leaves all as it is. AWS's own `aws:` tags are never touched."""
    if wanted is None:
        return {}, []
    changed, removed = compare_aws_tags(dict(current), {name: str(value) for name, value in wanted.items()}, purge)
    return changed, sorted(removed)


def tags_after(current: Mapping[str, str], wanted: Mapping[str, str] | None, purge: bool) -> dict[str, str]:
    """The tags as tag_changes leaves them, without AWS's own: what a diff shows."""
    changed, removed = tag_changes(current, wanted, purge)
    kept = {name: value for name, value in current.items() if name not in removed and not name.startswith("aws:")}
    return {**kept, **changed}


def canonical(document: Any) -> str:
    """JSON in one fixed spelling, for policies that are compared as text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def parsed(text: str | None) -> Any:
    """The document in a JSON string that AWS gave back; None for nothing."""
    return json.loads(text) if text else None
