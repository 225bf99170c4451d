"""One sandbox for the whole session, set up by the project's own playbook; or the one that SANDBOX_STATE names."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from kubernetes import config
from kubernetes.dynamic import DynamicClient

from sandbox.state import State
from support.shell import Shell

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
IMAGES = ("queue-agent:0.1.0", "a1111:1.10.1")


def plain_environment() -> dict[str, str]:
    """The caller's environment without what points at another AWS or cluster."""
    env = {
        k: v for k, v in os.environ.items() if not k.startswith("AWS_") and k not in ("KUBECONFIG", "SANDBOX_CHARTS")
    }
    return {**env, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_FORCE_COLOR": "0", "PYTHONUNBUFFERED": "1"}


def exports(text: str) -> dict[str, str]:
    """The variables that `sandbox env` prints."""
    words = [word for line in text.splitlines() for word in shlex.split(line)[1:]]
    return {name: os.path.expandvars(value) for name, _, value in (word.partition("=") for word in words)}


@pytest.fixture(scope="session")
def bare() -> Shell:
    """A shell without a sandbox."""
    return Shell(directory=ROOT, env=plain_environment())


@pytest.fixture(scope="session")
def sandbox(bare: Shell) -> Iterator[State]:
    """A sandbox on which site.yml has run."""
    given = os.environ.get("SANDBOX_STATE")
    if given:
        yield State.load(Path(given))
        return
    directory = ROOT / "build" / "test-sandbox"
    try:
        bare.run("sandbox", "up", "--state", str(directory), timeout=3600)
        shell = shell_for(bare, directory)
        bare.run("sandbox", "push", "--state", str(directory), *IMAGES)
        shell.playbook("site")
        yield State.load(directory)
    finally:
        bare.run("sandbox", "down", "--state", str(directory))


def shell_for(bare: Shell, state: Path) -> Shell:
    """A shell with the environment of the sandbox in that state directory."""
    env = exports(bare.run("sandbox", "env", "--state", str(state)).stdout)
    return Shell(directory=ROOT, env={**bare.env, **env})


@pytest.fixture(scope="session")
def shell(bare: Shell, sandbox: State) -> Shell:
    """A shell with the sandbox's environment."""
    return shell_for(bare, sandbox.directory)


@pytest.fixture(scope="session")
def aws(shell: Shell) -> boto3.Session:
    """boto3 on the sandbox: aws.client("sqs", endpoint_url=…) is not needed, the endpoint comes along."""
    os.environ.update({k: v for k, v in shell.env.items() if k.startswith("AWS_")})
    return boto3.Session(region_name=shell.env["AWS_REGION"])


@pytest.fixture(scope="session")
def cluster(sandbox: State) -> DynamicClient:
    """The sandbox's Kubernetes API, as an administrator."""
    return DynamicClient(config.new_client_from_config(str(sandbox.admin_kubeconfig)))
