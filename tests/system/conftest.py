"""One sandbox for the whole session, set up by the project's own playbook; or the one that SANDBOX_STATE names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from kubernetes import config
from kubernetes.dynamic import DynamicClient

from sandbox.demo.cloud import Cloud
from sandbox.state import State
from sd_agent.client import Client
from support.shell import IMAGES, ROOT, Shell

ANSWERS = "sd-answers-demo"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[State]:
    """A sandbox on which site.yml has run."""
    given = os.environ.get("SANDBOX_STATE")
    if given:
        yield State.load(Path(given))
        return
    bare = Shell.bare()
    directory = ROOT / "build" / "test-sandbox"
    try:
        bare.run("sandbox", "up", "--state", str(directory), timeout=3600)
        bare.run("sandbox", "push", "--state", str(directory), *IMAGES)
        bare.for_sandbox(directory).playbook("site")
        yield State.load(directory)
    finally:
        bare.run("sandbox", "down", "--state", str(directory))


@pytest.fixture(scope="session")
def shell(sandbox: State) -> Shell:
    """A shell with the sandbox's environment."""
    return Shell.bare().for_sandbox(sandbox.directory)


@pytest.fixture(scope="session")
def aws(shell: Shell) -> boto3.Session:
    """boto3 on the sandbox: the endpoint comes from the environment."""
    os.environ.update({name: value for name, value in shell.env.items() if name.startswith("AWS_")})
    return boto3.Session(region_name=shell.env["AWS_REGION"])


@pytest.fixture(scope="session")
def client(aws: boto3.Session, sandbox: State) -> Client:
    """A client of the sandbox's API, as its tenant `demo`."""
    api = Cloud("sd", sandbox.aws_url).api
    return Client(api.url, api.key, queue_url=aws.client("sqs").get_queue_url(QueueName=ANSWERS)["QueueUrl"])


@pytest.fixture
def task_id() -> str:
    """An id that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture(scope="session")
def cluster(sandbox: State) -> DynamicClient:
    """The sandbox's Kubernetes API, as an administrator."""
    return DynamicClient(config.new_client_from_config(str(sandbox.admin_kubeconfig)))
