"""Follows the cluster and AWS while the demo waits, and tells what happens as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.demo import cloud, stages
from sandbox.demo.cloud import Cloud
from sandbox.demo.cluster import Cluster, Expired
from sandbox.demo.diagnosis import Objects, Picture
from sandbox.demo.timeline import Fact, Timeline

__all__ = ["Watcher"]

_POLL_S = 0.25


class Watcher:
    """Prints facts into a timeline and keeps the last picture of everything, for the case that an answer is late."""

    def __init__(self, cluster: Cluster, aws: Cloud, timeline: Timeline) -> None:
        self.picture = Picture()
        self._cluster = cluster
        self._aws = aws
        self._timeline = timeline
        # Where each task's results will be; known once it was sent.
        self.locations: dict[str, str] = {}

    async def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Take in what is there already, then follow it; the tasks run until they are cancelled.

        Raises:
            DemoError: the cluster does not have what site.yml puts there.
        """
        space, picture = self._aws.name, self.picture
        sources: list[tuple[str, Objects, Callable[[dict[str, Any]], Iterator[Fact]]]] = [
            (f"/apis/apps/v1/namespaces/{space}/deployments", picture.deployments, stages.deployment),
            ("/apis/karpenter.sh/v1/nodeclaims", picture.claims, stages.node_claim),
            ("/api/v1/nodes", picture.nodes, stages.node),
            (f"/api/v1/namespaces/{space}/pods", picture.pods, stages.pod),
        ]
        tasks = []
        for path, objects, facts in sources:
            items, version = await self._cluster.list(path)
            for item in items:
                objects[item["metadata"]["name"]] = item
                self._timeline.know(facts(item))
            tasks.append(group.create_task(self._follow(path, version, objects, facts)))
        picture.depths = await asyncio.to_thread(self._aws.depths)
        self._timeline.know(cloud.queue_facts(picture.depths))
        tasks.append(group.create_task(self._poll()))
        return tasks

    async def _follow(
        self, path: str, version: str, objects: Objects, facts: Callable[[dict[str, Any]], Iterator[Fact]]
    ) -> None:
        while True:
            try:
                async for kind, item in self._cluster.watch(path, version):
                    name = item["metadata"]["name"]
                    if kind == "DELETED":
                        objects.pop(name, None)
                        continue
                    objects[name] = item
                    self._timeline.tell(facts(item))
            except Expired:
                await asyncio.sleep(_POLL_S)
                items, version = await self._cluster.list(path)
                objects.clear()
                for item in items:
                    objects[item["metadata"]["name"]] = item
                    self._timeline.tell(facts(item))

    async def _poll(self) -> None:
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(_POLL_S)

    def look(self) -> None:
        """Ask AWS once, and tell what is new."""
        picture = self.picture
        picture.depths = self._aws.depths()
        self._timeline.tell(cloud.queue_facts(picture.depths))
        for task, location in list(self.locations.items()):
            picture.rows[task] = self._aws.row(task)
            self._timeline.tell(cloud.object_facts(task, self._aws.stored(location)))
        self._timeline.tell(cloud.row_facts(picture.rows.values()))
