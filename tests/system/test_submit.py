"""playbooks/submit.yml against the real intake on an embedded AWS of its own; needs no Kubernetes and no agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.shell import ROOT, Shell

BODY = {
    "task": {
        "metadata": {
            "id": "submitted-1",
            "tasktype": "text-to-image",
            "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        },
        "content": {"prompt": "A dog"},
    }
}


@pytest.fixture(scope="module")
def installed() -> Iterator[Shell]:
    """A shell with the environment of an embedded AWS that takes tasks in."""
    bare = Shell.bare()
    directory = ROOT / "build" / "test-submit"
    try:
        bare.run("sandbox", "up", "--only", "aws", "--state", str(directory))
        shell = bare.for_sandbox(directory)
        shell.playbook("site", "--tags", "storage,routing,intake")
        yield shell
    finally:
        bare.run("sandbox", "down", "--state", str(directory))


def submit(shell: Shell, check: bool = True, **variables: Any) -> str:
    return shell.playbook("submit", "--extra-vars", json.dumps(variables), check=check)


def test_a_task_is_taken_in_under_the_first_tenants_key(installed: Shell) -> None:
    output = submit(installed, sd_task_body=BODY, sd_task_wait=False)
    assert "/demo/outputs/submitted-1/" in output
    assert "not-a-secret-sandbox-demo-key" not in output


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "missing required arguments: sd_task_body"),
        ({"sd_task_body": BODY, "sd_task_tenant": "nobody"}, "nobody is not in sd_tenants"),
        ({"sd_task_body": BODY, "sd_tenants": []}, "Nobody is not in sd_tenants"),
        ({"sd_task_body": BODY, "sd_name": "other"}, "There are 0 REST APIs called other"),
        ({"sd_task_body": {}}, "400 invalid_request: alwayson_scripts is required (field alwayson_scripts)"),
    ],
)
def test_a_mistake_is_told(installed: Shell, variables: dict[str, Any], message: str) -> None:
    assert message in submit(installed, check=False, **variables)
