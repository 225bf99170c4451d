"""Waiters against a client that answers from a list."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import AwsFailure, NotReady
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import GONE, Waiter, repeat_while, wait
from botocore.exceptions import ClientError

ACTIVE = Waiter(
    operation="describe_cluster",
    state="cluster.status",
    until=("ACTIVE",),
    failed=("FAILED",),
    missing=("ResourceNotFoundException",),
    delay=2,
    slowest=4,
)


class Client:
    """Answers with the given states, then with the last of them; an exception is raised."""

    def __init__(self, *states):
        self.states = list(states)
        self.asked = []

    def describe_cluster(self, **kwargs):
        self.asked.append(kwargs)
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, str):
            return {"cluster": {"status": state}}
        raise state


class Clock:
    """A clock that only pauses move."""

    def __init__(self):
        self.now = 0.0
        self.pauses = []

    def __call__(self):
        return self.now

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


def error(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeCluster")


def look(client, waiter=ACTIVE, deadline=60):
    clock = Clock()
    return wait(client, waiter, "cluster sd", deadline, clock=clock, pause=clock.pause, name="sd"), clock


def test_it_pauses_longer_each_time_up_to_the_slowest():
    client = Client("CREATING", "CREATING", "CREATING", "CREATING", "ACTIVE")
    answer, clock = look(client)
    assert answer["cluster"]["status"] == "ACTIVE"
    assert clock.pauses == [2, 3, 4, 4]
    assert client.asked[0] == {"name": "sd"}


def test_what_is_there_costs_no_pause():
    assert look(Client("ACTIVE"))[1].pauses == []


def test_gone_is_a_state():
    gone = Waiter(
        operation="describe_cluster", state="cluster.status", until=(GONE,), missing=("ResourceNotFoundException",)
    )
    assert look(Client("DELETING", error("ResourceNotFoundException")), gone)[0] is None


def test_a_failed_state_ends_the_wait():
    with pytest.raises(NotReady, match="cluster sd went to FAILED instead of ACTIVE"):
        look(Client("CREATING", "FAILED"))


def test_the_deadline_names_the_last_state():
    with pytest.raises(NotReady, match="cluster sd is still CREATING after 9 s, not ACTIVE"):
        look(Client("CREATING"), deadline=9)


def test_another_error_says_what_was_done():
    with pytest.raises(AwsFailure, match="could not look at cluster sd: DescribeCluster answered AccessDenied: no"):
        look(Client(error("AccessDenied")))


def test_a_call_is_repeated_while_aws_answers_what_passes():
    clock = Clock()
    client = Client(error("DependencyViolation"), error("DependencyViolation"), "ACTIVE")
    answer = repeat_while(client.describe_cluster, ("DependencyViolation",), 60, clock=clock, pause=clock.pause)
    assert answer == {"cluster": {"status": "ACTIVE"}}
    assert clock.pauses == [1.0, 1.5]


@pytest.mark.parametrize(("code", "calls"), [("AccessDenied", 1), ("DependencyViolation", 4)])
def test_any_other_error_and_one_that_stays_are_raised(code, calls):
    clock = Clock()
    client = Client(error(code))
    with pytest.raises(ClientError, match=code):
        repeat_while(client.describe_cluster, ("DependencyViolation",), 5, clock=clock, pause=clock.pause)
    assert len(client.asked) == calls
