"""site.yml as an operator meets it: a second run, check mode, a tag, mistakes in the inventory."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from kubernetes.dynamic import DynamicClient

from sandbox.state import State
from support.shell import Shell

pytestmark = pytest.mark.sandbox


def changed(output: str) -> int:
    """What the play recap counts as changed; -1 if there is no recap."""
    found = re.search(r"changed=(\d+)", output)
    return int(found[1]) if found else -1


def runtimes(shell: Shell) -> list[dict[str, Any]]:
    """sd_runtimes as the sandbox's inventory gives it, templates unresolved."""
    listing = json.loads(shell.run("ansible-inventory", "--inventory", "inventories/sandbox", "--list").stdout)
    found: list[dict[str, Any]] = next(v["sd_runtimes"] for v in listing["_meta"]["hostvars"].values())
    return found


def with_runtimes(directory: Path, entries: list[dict[str, Any]]) -> tuple[str, str]:
    """The arguments that replace the inventory's sd_runtimes."""
    file = directory / "runtimes.json"
    file.write_text(json.dumps({"sd_runtimes": entries}))
    return "--extra-vars", f"@{file}"


@pytest.mark.parametrize("arguments", [(), ("--check", "--diff")], ids=["again", "check"])
def test_a_second_run_changes_nothing(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert changed(shell.playbook("site", *arguments)) == 0


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([{"name": "one", "models": ["a.safetensors"]}, {"name": "one", "models": ["b.safetensors"]}], "one"),
        ([{"name": "first", "dynamic": True}, {"name": "second", "dynamic": True}], "second"),
        ([{"name": "n" * 64, "dynamic": True}], "n" * 64),
        ([{"name": "typo", "dynamc": True}], "dynamic"),
    ],
    ids=["same name", "two dynamic", "long name", "typo"],
)
def test_a_mistake_in_the_inventory_stops_before_anything_is_touched(
    shell: Shell, aws: boto3.Session, tmp_path: Path, entries: list[dict[str, Any]], named: str
) -> None:
    template = runtimes(shell)[0]
    whole = [{**{k: v for k, v in template.items() if k not in ("models", "dynamic")}, **entry} for entry in entries]
    before = aws.client("sqs").list_queues()["QueueUrls"]
    done = shell.run(
        *("ansible-playbook", "playbooks/site.yml", "--inventory", "inventories/sandbox"),
        *with_runtimes(tmp_path, whole),
        check=False,
    )
    assert done.returncode != 0
    assert named in done.stdout
    assert changed(done.stdout) == 0
    assert aws.client("sqs").list_queues()["QueueUrls"] == before


def test_an_ops_repository_needs_only_the_tarball(shell: Shell, sandbox: State, tmp_path: Path) -> None:
    shell.run("ansible-galaxy", "collection", "build", "--output-path", str(tmp_path))
    tarball = next(tmp_path.glob("stable_diffusion-eks-*.tar.gz"))
    ops = tmp_path / "ops"
    ops.mkdir()
    shell.run("cp", "-r", "inventories/sandbox", str(ops / "inventory"))
    elsewhere = Shell(directory=ops, env={**shell.env, "ANSIBLE_COLLECTIONS_PATH": str(ops / "collections")})
    elsewhere.run(
        "ansible-galaxy", "collection", "install", "--offline", "--no-deps", str(tarball), "-p", "collections"
    )
    output = elsewhere.run("ansible-playbook", "stable_diffusion.eks.site", "--inventory", "inventory").stdout
    assert changed(output) == 0, "the same sources must come to the same resources"


def names(cluster: DynamicClient, api_version: str, kind: str) -> set[str]:
    """Names of all objects of a kind, whatever their namespace."""
    return {item.metadata.name for item in cluster.resources.get(api_version=api_version, kind=kind).get().items}


def test_the_queues_tag_brings_up_just_the_new_runtime(
    shell: Shell, aws: boto3.Session, cluster: DynamicClient, tmp_path: Path
) -> None:
    entries = runtimes(shell)
    added = {**entries[0], "name": "anime", "models": ["anything-v5.safetensors"]}
    output = shell.playbook("site", "--tags", "queues", *with_runtimes(tmp_path, [*entries, added]))
    assert changed(output) > 0
    for untouched in ("network", "storage", "intake", "cluster", "autoscaling"):
        assert f"stable_diffusion.eks.{untouched} :" not in output
    queues = aws.client("sqs").list_queues(QueueNamePrefix="sd-anime")["QueueUrls"]
    assert sorted(url.rsplit("/", 1)[-1] for url in queues) == ["sd-anime", "sd-anime-dlq"]
    assert "anime" in names(cluster, "keda.sh/v1alpha1", "ScaledObject")
    assert "anime" in names(cluster, "apps/v1", "Deployment")
    assert "sd-anime" in names(cluster, "karpenter.sh/v1", "NodePool")
