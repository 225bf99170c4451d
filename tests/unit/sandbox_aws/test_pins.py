"""The names inside ministack and moto that the sandbox stands on."""

from __future__ import annotations

import pytest

from sandbox.aws import pins
from sandbox.errors import SandboxError


@pytest.mark.parametrize(
    "pin",
    [
        "ministack.services.sqs:_not_there",
        "ministack.services.not_there:x",
        "moto.core.exceptions:ServiceException.not_there",
        "sandbox.aws.scopes:service_of(not_there)",
    ],
)
def test_a_missing_name_is_told_in_one_sentence(pin: str) -> None:
    with pytest.raises(SandboxError, match=r"ministack \d.*moto \d.* not found as expected") as caught:
        pins.check(["sandbox.aws.scopes:service_of(scope)", pin])
    assert pin in str(caught.value)
    assert "sandbox.aws.scopes:service_of(scope)" not in str(caught.value)
