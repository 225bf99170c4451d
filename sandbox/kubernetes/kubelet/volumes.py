"""A pod's volumes: a directory of this machine for each, kept up to date while the pod lives."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from sandbox.kubernetes.kubelet import contents
from sandbox.kubernetes.kubelet.api import UNREACHABLE, ApiError
from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.cluster import Cluster
from sandbox.kubernetes.kubelet.environment import Sources, expand
from sandbox.kubernetes.kubelet.mounts import Mounts
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Volumes"]

# A token is renewed when it has lived so much of its life (kubelet does it at the same point).
_RENEW_AT = 0.8
_DEFAULT_LIFETIME_S = 3600


class Volumes:
    """The volumes of one pod.

    Args:
        cluster: what pods share.
        sources: of config maps, secrets and fields, for this pod.
        directory: of the pod.
    """

    def __init__(self, cluster: Cluster, sources: Sources, directory: Path) -> None:
        self._cluster = cluster
        self._sandbox: Path = cluster.state.directory
        self._claims: Path = cluster.state.kubelet / "claims"
        self._sources = sources
        self._directory = directory / "volumes"
        self._tokens: dict[tuple[str, str], tuple[bytes, float]] = {}
        self._places: dict[str, Path] = {}
        self._lock = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether something in them ends by itself: a token."""
        return any(contents.token_sources(volume) for volume in self._specs())

    async def update(self) -> None:
        """Make every volume hold what it should hold now.

        Raises:
            Blocked: something that they need does not exist, or is not possible here.
        """
        async with self._lock:
            for volume in self._specs():
                self._places[volume["name"]] = await self._provide(volume)

    def mounts(self, container: Json, variables: dict[str, str]) -> Mounts:
        """Where a container's mount paths lie; `update` has run before.

        Raises:
            Blocked: a subPath leads out of its volume.
        """
        paths = {}
        for mount in container.get("volumeMounts") or []:
            place = self._places[mount["name"]]
            inside = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables.get)
            if inside:
                place = _inside(place, inside)
            paths[mount["mountPath"]] = place
        return Mounts(paths)

    def _specs(self) -> list[Json]:
        return list(self._sources.facts.spec.get("volumes") or [])

    async def _provide(self, volume: Json) -> Path:
        name = str(volume["name"])
        own = self._directory / name
        if any(kind in volume for kind in contents.KINDS):
            tokens = {source["path"]: await self._token(source) for source in contents.token_sources(volume)}
            files = contents.contents(volume, self._sources, tokens)
            await asyncio.to_thread(contents.write, own, files)
            return own
        if "emptyDir" in volume:
            own.mkdir(parents=True, exist_ok=True)
            return own
        if claim := volume.get("persistentVolumeClaim"):
            return await self._claim(name, claim["claimName"])
        if host := volume.get("hostPath"):
            return self._host(name, Path(host["path"]), str(host.get("type") or ""))
        kind = next((key for key in volume if key != "name"), "none")
        raise _failed(name, f"the sandbox has no volumes of type {kind}")

    async def _token(self, source: Json) -> bytes:
        facts, audience = self._sources.facts, source.get("audience") or ""
        known = self._tokens.get((audience, source["path"]))
        if known and time.monotonic() < known[1]:
            return known[0]
        lifetime = int(source.get("expirationSeconds") or _DEFAULT_LIFETIME_S)
        pod = {"apiVersion": "v1", "kind": "Pod", "name": facts.name, "uid": facts.uid}
        spec = {"audiences": [audience] if audience else [], "expirationSeconds": lifetime, "boundObjectRef": pod}
        path = f"/api/v1/namespaces/{facts.namespace}/serviceaccounts/{facts.service_account}/token"
        try:
            answer = await self._cluster.api.call("POST", path, {"spec": spec})
        except (ApiError, *UNREACHABLE) as error:
            raise Blocked(f"failed to fetch token: {error}", event="FailedMount") from error
        token = str(answer["status"]["token"]).encode()
        self._tokens[audience, source["path"]] = token, time.monotonic() + lifetime * _RENEW_AT
        return token

    async def _claim(self, name: str, claim: str) -> Path:
        """A claim's directory is its volume's, so that all who use one file system see the same files."""
        namespace = self._sources.facts.namespace
        try:
            found = await self._cluster.api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
            volume_name = (found.get("spec") or {}).get("volumeName")
            if not volume_name:
                raise _failed(name, f'persistentvolumeclaim "{claim}" is not bound')
            volume = await self._cluster.api.get(f"/api/v1/persistentvolumes/{volume_name}")
        except (ApiError, *UNREACHABLE) as error:
            raise _failed(name, str(error)) from error
        spec = volume["spec"]
        for kind in ("hostPath", "local"):
            if kind in spec:
                return self._host(name, Path(spec[kind]["path"]), "DirectoryOrCreate")
        handle = (spec.get("csi") or {}).get("volumeHandle") or volume_name
        place = self._claims / re.sub(r"[^A-Za-z0-9._-]+", "_", str(handle))
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _host(self, name: str, path: Path, kind: str) -> Path:
        place = path.resolve()
        if not place.is_relative_to(self._sandbox):
            raise _failed(name, f"hostPath {path} is no directory of the sandbox")
        if kind == "DirectoryOrCreate":
            place.mkdir(parents=True, exist_ok=True)
        if not place.is_dir():
            raise _failed(name, f"hostPath type check failed: {path} is not a directory")
        return place


def _failed(volume: str, why: str) -> Blocked:
    return Blocked(f'MountVolume.SetUp failed for volume "{volume}" : {why}', event="FailedMount")


def _inside(place: Path, relative: str) -> Path:
    path = (place / relative).resolve()
    if not path.is_relative_to(place.resolve()):
        raise Blocked(f"subPath {relative} leads out of its volume", reason="CreateContainerConfigError")
    if not path.exists():
        path.mkdir(parents=True)
    return path
