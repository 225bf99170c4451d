"""What happens before a container starts: identity, volumes, image, environment; the result is a Launch."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from sandbox import processes
from sandbox.kubernetes.kubelet import environment, identity, launch
from sandbox.kubernetes.kubelet.addresses import local
from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.cluster import Cluster
from sandbox.kubernetes.kubelet.environment import Sources
from sandbox.kubernetes.kubelet.facts import Facts
from sandbox.kubernetes.kubelet.launch import Launch, Place
from sandbox.kubernetes.kubelet.mounts import Mounts
from sandbox.kubernetes.kubelet.node import Node
from sandbox.kubernetes.kubelet.objects import Json
from sandbox.kubernetes.kubelet.order import containers
from sandbox.kubernetes.kubelet.process import MARK
from sandbox.kubernetes.kubelet.puller import Puller, Tell
from sandbox.kubernetes.kubelet.volumes import Volumes

__all__ = ["Preparation"]

_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
_AWS_RETRY_S = 2.0


class Preparation:
    """Prepares the containers of one pod.

    Args:
        cluster: what pods share.
        node: the pod's.
        facts: about the pod; its spec gets what EKS injects.
        tell: takes events about containers.

    Attributes:
        directory: the pod's.
        volumes: the pod's.
    """

    def __init__(self, cluster: Cluster, node: Node, facts: Facts, tell: Tell) -> None:
        self.directory: Path = cluster.state.kubelet / "pods" / facts.uid
        self._cluster = cluster
        self._facts = facts
        self._sources = Sources(facts, self._config_map, self._secret)
        self.volumes = Volumes(cluster, self._sources, self.directory)
        self._puller = Puller(cluster.registry, node.images, tell)
        self._tell = tell
        self._identified = False
        self._lock = asyncio.Lock()

    async def prepare(self, container: Json) -> tuple[Launch, str]:
        """How to start a container, and its image's id.

        Raises:
            Blocked: it cannot start now.
        """
        async with self._lock:
            await self._identify()
        await self.volumes.update()
        pulled = await self._puller.ensure(container)
        if pulled.image is None:
            raise Blocked(
                f"the sandbox has no program that stands for the image {container['image']}",
                reason="CreateContainerError",
            )
        spec = next(one for _ignored, one in containers(self._facts.spec) if one["name"] == container["name"])
        variables = environment.variables(spec, self._sources)
        mounts = self.volumes.mounts(spec, variables)
        directory = self.directory / "containers" / container["name"]
        place = self._place(container["name"], directory, mounts)
        try:
            planned = launch.plan(spec, pulled.image, variables, place)
        except ValueError as error:
            raise Blocked(str(error), reason="CreateContainerConfigError") from error
        # A new run finds an empty file system, as in a container.
        await asyncio.to_thread(_fresh, directory)
        return planned, pulled.digest

    async def refresh(self) -> None:
        """Bring the volumes up to date, if they could be provided before."""
        try:
            await self.volumes.update()
        except Blocked:
            # A volume keeps what it held when its source has gone, as kubelet has it.
            return

    async def _identify(self) -> None:
        if self._identified:
            return
        facts, state = self._facts, self._cluster.state
        try:
            associated = await self._cluster.identity.associated(facts.namespace, facts.service_account)
        except (BotoCoreError, ClientError) as error:
            raise Blocked(f"EKS Pod Identity: {error}", event="FailedMount", retry=_AWS_RETRY_S) from error
        if associated:
            annotations = facts.obj["metadata"].get("annotations") or {}
            url = f"{state.aws_url}/v1/credentials"
            facts.spec = identity.inject(facts.spec, annotations, region=state.region, credentials_url=url)
        self._identified = True

    def _place(self, name: str, directory: Path, mounts: Mounts) -> Place:
        facts, state = self._facts, self._cluster.state
        words = {
            "POD_IP": local(facts.address),
            "POD_NAME": facts.name,
            "POD_NAMESPACE": facts.namespace,
            "BIN": str(state.bin),
        }
        base = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOSTNAME": facts.name,
            "AWS_ENDPOINT_URL": state.aws_url,
            "AWS_REGION": state.region,
            "AWS_DEFAULT_REGION": state.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            processes.OWNER: str(state.directory),
            processes.NAME: f"{MARK}{facts.namespace}/{facts.name}/{name}",
        }
        if account := mounts.get(_ACCOUNT_DIR):
            words["KUBECONFIG"] = base["KUBECONFIG"] = str(self._kubeconfig(account))
        return Place(directory=directory, words=words, base=base, mounts=mounts, names=self._cluster.rewrite)

    def _kubeconfig(self, account: Path) -> Path:
        """The service account as a kubeconfig: a program looks for its token at a path that cannot be moved."""
        server = {"server": self._cluster.api.url, "certificate-authority": str(account / "ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": server}],
            "users": [{"name": "pod", "user": {"tokenFile": str(account / "token")}}],
            "contexts": [
                {"name": "pod", "context": {"cluster": "cluster", "user": "pod", "namespace": self._facts.namespace}}
            ],
            "current-context": "pod",
        }
        path = self.directory / "kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def _config_map(self, name: str) -> Json | None:
        return self._cluster.config_maps.items.get((self._facts.namespace, name))

    def _secret(self, name: str) -> Json | None:
        return self._cluster.secrets.items.get((self._facts.namespace, name))


def _fresh(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "tmp").mkdir(parents=True)
