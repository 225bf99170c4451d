"""`sandbox push` and what ECR says about the images afterwards."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import oci
from sandbox.errors import SandboxError
from sandbox.push import contents, parse, push
from sandbox.state import State

Aws = Callable[[str], Any]


def test_a_pushed_image_is_described_and_whole(aws: Aws, state: State, send: Callable[..., tuple[int, Any]]) -> None:
    lines: list[str] = []
    push(state, ["queue-agent:0.1.0", "a1111:1.10.1", "queue-agent:0.2.0"], lines.append)
    push(state, ["queue-agent:0.1.0"], lines.append)
    assert lines[0] == lines[3]
    assert lines[0].startswith("123456789012.dkr.ecr.us-east-1.amazonaws.com/queue-agent:0.1.0 sha256:")
    ecr = aws("ecr")
    found = ecr.describe_images(repositoryName="queue-agent", imageIds=[{"imageTag": "0.1.0"}])["imageDetails"]
    assert sorted(found[0]["imageTags"]) == ["0.1.0", "0.2.0"]
    manifest = json.loads(oci_manifest(ecr, "queue-agent", "0.1.0"))
    assert found[0]["imageSizeInBytes"] == manifest["layers"][0]["size"]
    status, layer = send(f"/v2/queue-agent/blobs/{manifest['layers'][0]['digest']}")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as archive:
        names = archive.getnames()
    assert "app/sd_agent/__init__.py" in names
    assert not [name for name in names if name.endswith(".pyc")]


def oci_manifest(ecr: Any, repository: str, tag: str) -> str:
    images = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])["images"]
    return str(images[0]["imageManifest"])


def test_an_image_that_is_not_there_is_an_error(aws: Aws, state: State) -> None:
    ecr = aws("ecr")
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_images(repositoryName="nothing")
    push(state, ["here:1"], lambda _line: None)
    with pytest.raises(ecr.exceptions.ImageNotFoundException, match="tag:'2'"):
        ecr.describe_images(repositoryName="here", imageIds=[{"imageTag": "2"}])


@pytest.mark.parametrize(
    "image", ["queue-agent", "queue-agent:", ":1", "Upper:1", "a b:1", "a/b:1:2", "a//b:1", "../x:1"]
)
def test_malformed_names_are_told(image: str) -> None:
    with pytest.raises(SandboxError, match="is not NAME:TAG"):
        parse(image)


def test_well_formed_names() -> None:
    assert parse("team/queue-agent:0.1.0-rc_1") == ("team/queue-agent", "0.1.0-rc_1")


def test_the_same_files_make_the_same_image() -> None:
    assert contents("queue-agent") == contents("queue-agent")
    assert contents("a") != contents("b")
    image = oci.image({"/b": b"2", "/a": b"1"}, ["/a"])
    manifest = json.loads(image.manifest)
    assert [oci.digest(blob) for blob in image.blobs] == [
        manifest["config"]["digest"],
        manifest["layers"][0]["digest"],
    ]
