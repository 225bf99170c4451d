# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""Waiters as data: which call to repeat, where its answer holds the state, and which states end the wait.

And one for calls that AWS refuses for a while, because of what was made or deleted a moment ago.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, TypeVar

with contextlib.suppress(ImportError):  # AnsibleAWSModule says what is missing
    import botocore.exceptions
    import jmespath

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import code, doing
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import NotReady

T = TypeVar("T")

GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Waiter:
    """What to wait for.

    operation: the client's method, such as "describe_cluster".
    state: JMESPath to the state in its answer, such as "cluster.status".
    until: states that end the wait; GONE is the state of what the call does not find.
    failed: states from which it never becomes ready.
    missing: error codes that mean GONE.
    verb: what the call does, for errors.
    delay, slowest: seconds between the first two looks, and at most; each pause is half as long again as the last.
    """

    operation: str
    state: str
    until: tuple[str, ...]
    failed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    verb: str = "look at"
    delay: float = 1.0
    slowest: float = 15.0


def wait(
    client: Any,
    waiter: Waiter,
    what: str,
    deadline: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    **kwargs: Any,
) -> Any:
    """Repeat the operation (with kwargs) until the state fits; its last answer, None when that is GONE.

    what: how the operator calls it ("node group sd-system"); deadline: seconds from now.
    Raises NotReady on a failed state or after the deadline, AwsFailure when the call itself fails.
    """
    end = clock() + deadline
    delay = waiter.delay
    while True:
        answer, state = _look(client, waiter, what, kwargs)
        if state in waiter.until:
            return answer
        if state in waiter.failed:
            raise NotReady(f"{what} went to {state} instead of {' or '.join(waiter.until)}")
        left = end - clock()
        if left <= 0:
            raise NotReady(f"{what} is still {state} after {deadline:.0f} s, not {' or '.join(waiter.until)}")
        pause(min(delay, left))
        delay = min(delay * 1.5, waiter.slowest)


def _look(client: Any, waiter: Waiter, what: str, kwargs: dict[str, Any]) -> tuple[Any, str]:
    with doing(f"{waiter.verb} {what}"):
        try:
            answer = getattr(client, waiter.operation)(**kwargs)
        except botocore.exceptions.ClientError as error:
            if code(error) in waiter.missing:
                return None, GONE
            raise
    found = jmespath.search(waiter.state, answer)
    return answer, GONE if found is None or found == [] else str(found)


def repeat_while(
    call: Callable[[], T],
    codes: Container[str],
    deadline: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """call(), repeated while AWS answers one of these error codes; after deadline seconds that error is raised."""
    end = clock() + deadline
    delay = 1.0
    while True:
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            if code(error) not in codes or clock() + delay > end:
                raise
        pause(delay)
        delay = min(delay * 1.5, 15.0)
