"""The EKS API: ministack's routes with checks before and completions after them, and the routes that it lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.aws.ec2.images import KUBERNETES_VERSION
from sandbox.aws.eks.clusters import Clusters
from sandbox.aws.eks.errors import EksError
from sandbox.aws.eks.node_groups import NodeGroups
from sandbox.aws.eks.updates import Updates

__all__ = ["Extension"]

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Mapping[str, str], bytes, Mapping[str, Any]], Answer]

_NAME = r"([A-Za-z0-9_-]+)"
_CLUSTERS = re.compile(r"/clusters")
_CLUSTER = re.compile(rf"/clusters/{_NAME}")
_NODE_GROUPS = re.compile(rf"/clusters/{_NAME}/node-groups")
_NODE_GROUP = re.compile(rf"/clusters/{_NAME}/node-groups/{_NAME}")


class Extension:
    """Stands where ministack's EKS handler stood.

    Args:
        handler: ministack's, which takes (method, path, headers, body, query) and answers (status, headers, body).
    """

    def __init__(self, handler: Handler, clusters: Clusters, node_groups: NodeGroups, updates: Updates) -> None:
        self._handler = handler
        self._clusters = clusters
        self._node_groups = node_groups
        self._routes: Sequence[tuple[str, re.Pattern[str], Callable[..., Any]]] = [
            ("POST", re.compile(rf"/clusters/{_NAME}/update-config"), updates.cluster_config),
            ("POST", re.compile(rf"/clusters/{_NAME}/updates"), updates.cluster_version),
            ("GET", re.compile(rf"/clusters/{_NAME}/updates"), lambda name, _ignored: updates.list(name)),
            (
                "GET",
                re.compile(rf"/clusters/{_NAME}/updates/{_NAME}"),
                lambda name, key, _ignored: updates.describe(name, key),
            ),
            ("POST", re.compile(_NODE_GROUP.pattern + "/update-config"), updates.node_group_config),
            ("POST", re.compile(_NODE_GROUP.pattern + "/update-version"), updates.node_group_version),
            ("GET", re.compile(r"/cluster-versions"), lambda _ignored: _cluster_versions()),
        ]

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Answer:
        request = _parsed(body)
        try:
            for verb, pattern, route in self._routes:
                if verb == method and (match := pattern.fullmatch(path)):
                    return _json(200, route(*match.groups(), request))
            self._before(method, path, request)
        except EksError as error:
            return _refusal(error)
        answer = self._handler(method, path, headers, json.dumps(request).encode() if request else body, query)
        if answer[0] < 300 and method in ("POST", "DELETE"):
            self._after(method, path, request, json.loads(answer[2]))
            return self._reread(method, path, request, headers) or answer
        return answer

    def _before(self, method: str, path: str, request: dict[str, Any]) -> None:
        if method == "POST" and _CLUSTERS.fullmatch(path):
            self._clusters.check_create(request)
        elif method == "POST" and _NODE_GROUPS.fullmatch(path):
            self._node_groups.check_create(request)
        elif method == "DELETE" and (match := _CLUSTER.fullmatch(path)):
            self._clusters.check_delete(match.group(1))

    def _after(self, method: str, path: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
        if method == "POST" and _CLUSTERS.fullmatch(path):
            self._clusters.after_create(request)
        elif method == "POST" and (match := _NODE_GROUPS.fullmatch(path)):
            self._node_groups.after_create(match.group(1), request)
        elif method == "DELETE" and _NODE_GROUP.fullmatch(path):
            self._node_groups.reconcile()
        elif method == "DELETE" and _CLUSTER.fullmatch(path):
            self._clusters.after_delete(answer)

    def _reread(self, method: str, path: str, request: dict[str, Any], headers: Mapping[str, str]) -> Answer | None:
        """What a creation answers, now that its record is complete."""
        if method == "POST" and _CLUSTERS.fullmatch(path):
            return self._handler("GET", f"/clusters/{request['name']}", headers, b"", {})
        if method == "POST" and _NODE_GROUPS.fullmatch(path):
            return self._handler("GET", f"{path}/{request['nodegroupName']}", headers, b"", {})
        return None


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body) if body else {}
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}


def _json(status: int, value: object) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _refusal(error: EksError) -> Answer:
    status, headers, body = _json(error.status, {"__type": error.code, "message": error.message})
    return status, {**headers, "x-amzn-errortype": error.code}, body


def _cluster_versions() -> dict[str, Any]:
    """DescribeClusterVersions."""
    version = {"clusterVersion": KUBERNETES_VERSION, "clusterType": "eks", "defaultVersion": True}
    return {"clusterVersions": [{**version, "status": "STANDARD_SUPPORT", "versionStatus": "STANDARD_SUPPORT"}]}
