"""`sandbox push`: images of the sandbox go into its registry by the protocol that docker speaks."""

from __future__ import annotations

import importlib.util
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox import oci
from sandbox.errors import SandboxError
from sandbox.state import State

__all__ = ["contents", "parse", "push"]

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html; tags: the OCI distribution spec.
_NAME = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_AGENT = "queue-agent"
_TIMEOUT_S = 30.0


def push(state: State, images: Sequence[str], say: Callable[[str], None]) -> None:
    """Push each NAME:TAG, making its repository if it is not there.

    Raises:
        SandboxError: a malformed name, a package that is not there, or a registry that refuses.
    """
    wanted = [parse(image) for image in images]
    ecr = boto3.client(
        "ecr",
        endpoint_url=state.aws_url,
        region_name=state.region,
        aws_access_key_id=state.account,
        aws_secret_access_key="test",
        # A proxy that the shell names is for other machines.
        config=Config(proxies={}),
    )
    try:
        registry = _Registry(state.aws_url, ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"])
        for name, tag in wanted:
            uri = _repository(ecr, name)
            digest = registry.push(name, tag, contents(name))
            say(f"{uri}:{tag} {digest}")
    except (BotoCoreError, ClientError, OSError) as error:
        raise SandboxError(f"The registry at {state.aws_url} does not take the image: {error}.") from error


def parse(image: str) -> tuple[str, str]:
    """Name and tag of NAME:TAG.

    Raises:
        SandboxError: it is not of that form.
    """
    name, _ignored, tag = image.partition(":")
    if not _NAME.fullmatch(name) or not _TAG.fullmatch(tag):
        raise SandboxError(f"{image!r} is not NAME:TAG, such as {_AGENT}:0.1.0.")
    return name, tag


def contents(name: str) -> oci.Image:
    """What an image of that name holds here.

    Raises:
        SandboxError: the agent's package is not installed.
    """
    if name == _AGENT:
        return oci.image(_agent_files(), ["python", "-m", "sd_agent.worker"])
    note = f"This layer stands for the file system of {name}; the sandbox runs a program of its own for it.\n"
    return oci.image({"/README": note.encode()}, ["/bin/false"])


def _agent_files() -> dict[str, bytes]:
    spec = importlib.util.find_spec("sd_agent")
    if spec is None or not spec.submodule_search_locations:
        raise SandboxError("The package sd_agent is not installed; pip install --editable agent.")
    package = Path(next(iter(spec.submodule_search_locations)))
    return {
        f"/app/sd_agent/{path.relative_to(package)}": path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def _repository(ecr: Any, name: str) -> str:
    try:
        repository = ecr.create_repository(repositoryName=name)["repository"]
    except ecr.exceptions.RepositoryAlreadyExistsException:
        repository = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    return str(repository["repositoryUri"])


class _Registry:
    """A client of the OCI distribution protocol, as much as a push needs."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def push(self, name: str, tag: str, image: oci.Image) -> str:
        """Upload the blobs, then the manifest under the tag; returns its digest."""
        for blob in image.blobs:
            upload, _ignored = self._send("POST", f"/v2/{name}/blobs/uploads/", b"")
            separator = "&" if "?" in upload else "?"
            query = urllib.parse.urlencode({"digest": oci.digest(blob)})
            self._send("PUT", f"{upload}{separator}{query}", blob, "application/octet-stream")
        _ignored, digest = self._send("PUT", f"/v2/{name}/manifests/{tag}", image.manifest, oci.MANIFEST_TYPE)
        return digest

    def _send(self, method: str, path: str, body: bytes, kind: str = "application/json") -> tuple[str, str]:
        """Location and content digest of the answer."""
        headers = {"Authorization": f"Basic {self._token}", "Content-Type": kind}
        url = urllib.parse.urljoin(self._url, path)
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
            return answer.headers.get("Location", ""), answer.headers.get("Docker-Content-Digest", "")
