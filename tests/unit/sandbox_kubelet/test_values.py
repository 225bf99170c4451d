"""Quantities, addresses and back-off."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.kubernetes.kubelet.addresses import Pool, local
from sandbox.kubernetes.kubelet.backoff import BackOff
from sandbox.kubernetes.kubelet.quantity import in_units, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("250m", Decimal("0.25")),
        ("0.5", Decimal("0.5")),
        (".5", Decimal("0.5")),
        ("2.", 2),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1.5Gi", 1536 * 2**20),
        ("1E", 10**18),
        ("1e3", 1000),
        ("1E3", 1000),
        ("100n", Decimal("1e-7")),
        (4, 4),
    ],
)
def test_quantity(text: object, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["", "one", "1K", "1 Gi", "Gi", "1Gi2"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        parse(text)


@pytest.mark.parametrize(
    ("value", "divisor", "count"),
    [
        ("250m", "1m", 250),
        ("250m", "1", 1),
        ("250m", "0", 1),
        ("1Gi", "1Mi", 1024),
        ("1500M", "1Gi", 2),
        ("2", None, 2),
    ],
)
def test_quantity_in_units_is_rounded_up(value: str, divisor: str | None, count: int) -> None:
    assert in_units(parse(value), divisor) == count


def test_addresses_take_turns() -> None:
    pool = Pool(64)
    assert [pool.take() for _ignored in range(3)] == ["10.64.0.1", "10.64.0.2", "10.64.0.3"]
    pool.free("10.64.0.2")
    assert pool.take() == "10.64.0.4"
    assert local("10.64.0.4") == "127.64.0.4"


def test_kept_address_is_not_given_out() -> None:
    pool = Pool(64)
    assert pool.keep("10.64.0.1")
    assert not pool.keep("10.64.0.1")
    assert not pool.keep("10.65.0.1")
    assert not pool.keep(None)
    assert pool.take() == "10.64.0.2"


def test_addresses_skip_network_and_broadcast() -> None:
    pool = Pool(64)
    every = [pool.take() for _ignored in range(256 * 254)]
    assert len(set(every)) == len(every)
    assert not any(address.endswith((".0", ".255")) for address in every)
    with pytest.raises(RuntimeError, match="taken"):
        pool.take()


def test_container_restarts_back_off() -> None:
    back_off, now, delays = BackOff(free=1), 0.0, []
    for _ignored in range(8):
        delays.append(back_off.delay(now))
        now += delays[-1] + 1
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]


def test_long_run_forgets_back_off() -> None:
    back_off = BackOff(free=1)
    assert [back_off.delay(0), back_off.delay(1)] == [0, 10]
    assert back_off.delay(11 + 601) == 0


def test_pulls_back_off_from_the_first() -> None:
    back_off = BackOff(free=0)
    assert [back_off.delay(0), back_off.delay(10), back_off.delay(30)] == [10, 20, 40]
