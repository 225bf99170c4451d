"""Pods in a namespace of a test's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client import ApiException, BatchV1Api, CoreV1Api, V1Pod

__all__ = ["Pods", "python", "sh"]

IMAGE = "python:3.11"


def sh(script: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a shell script."""
    return {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **fields}


def python(script: str, *arguments: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a Python script."""
    return {"name": "main", "image": IMAGE, "command": ["python", "-c", script], "args": list(arguments), **fields}


class Pods:
    """Makes pods and watches them; `api` is an administrator's."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.core = CoreV1Api(api)
        self.batch = BatchV1Api(api)
        self.namespace = namespace

    def create(self, name: str, *containers: dict[str, Any], **spec: Any) -> None:
        """Make a pod; its spec gets the given fields."""
        labels = {"metadata": {"name": name, "labels": {"app": name}, "annotations": {"note": "n 1"}}}
        self.core.create_namespaced_pod(self.namespace, {**labels, "spec": {"containers": list(containers), **spec}})

    def get(self, name: str) -> V1Pod | None:
        """A pod; None if it is gone."""
        try:
            return self.core.read_namespaced_pod(name, self.namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def until(self, name: str, true: Callable[[Any], object], seconds: float = 30) -> Any:
        """Wait until something is true of a pod, and return the pod; fails with its status if that takes too long."""
        deadline = time.monotonic() + seconds
        for pod in self._looks(name):
            try:
                if true(pod):
                    return pod
            except (AttributeError, TypeError, IndexError, StopIteration):
                pass  # the field it asks for is not there yet
            if time.monotonic() > deadline:
                pytest.fail(f"pod {name}: not after {seconds:g} s: {pod and pod.status}")
        return None

    def _looks(self, name: str) -> Iterator[V1Pod | None]:
        while True:
            yield self.get(name)
            time.sleep(0.1)

    def gone(self, name: str, seconds: float = 30) -> None:
        """Wait until a pod is gone."""
        deadline = time.monotonic() + seconds
        while self.get(name) is not None:
            if time.monotonic() > deadline:
                pytest.fail(f"pod {name} is still there after {seconds:g} s")
            time.sleep(0.1)

    def log(self, name: str, container: str = "main", **options: Any) -> str:
        """A container's log, through the API server; empty if it has not started."""
        try:
            answer = self.core.read_namespaced_pod_log(
                name, self.namespace, container=container, _preload_content=False, **options
            )
        except ApiException as error:
            if error.status in (400, 404):
                return ""
            raise
        text = answer.data.decode()
        answer.release_conn()
        return text

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of every event about a pod."""
        found = self.core.list_namespaced_event(self.namespace, field_selector=f"involvedObject.name={name}").items
        return [(event.reason, event.message) for event in found]

    def until_event(self, name: str, reason: str, text: str = "", seconds: float = 20) -> str:
        """Wait for an event about a pod with that text in it; its message."""
        deadline = time.monotonic() + seconds
        while True:
            events = self.events(name)
            for told, message in events:
                if told == reason and text in message:
                    return message
            if time.monotonic() > deadline:
                pytest.fail(f"pod {name}: no event {reason} with {text!r}; there is {events}")
            time.sleep(0.2)
