"""The API's operations: the one list that requests are matched with and that the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["OPERATIONS", "Operation", "find", "methods_of"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path; `name` is that of the handler's function and the document's operationId."""

    path: str
    method: str
    name: str
    key: bool = True


OPERATIONS = (
    Operation(path="/v1alpha1", method="POST", name="submit_v1alpha1"),
    Operation(path="/v1alpha2", method="POST", name="submit_v1alpha2"),
    Operation(path="/v1/tasks", method="POST", name="submit_task"),
    Operation(path="/v1/tasks", method="GET", name="list_tasks"),
    Operation(path="/v1/tasks/{id}", method="PUT", name="put_task"),
    Operation(path="/v1/tasks/{id}", method="GET", name="get_task"),
    Operation(path="/v1/tasks/{id}", method="DELETE", name="cancel_task"),
    Operation(path="/v1/batches", method="POST", name="submit_batch"),
    Operation(path="/v1/uploads", method="POST", name="create_upload"),
    Operation(path="/openapi.json", method="GET", name="describe_api", key=False),
)


def find(method: str, path: str) -> tuple[Operation, Mapping[str, str]] | None:
    """The operation for a request and the values in its path; None where there is none."""
    for operation in OPERATIONS:
        if operation.method == method and (values := _match(operation.path, path)) is not None:
            return operation, values
    return None


def methods_of(path: str) -> Collection[str]:
    """What may be done with a path; nothing where there is no such path."""
    return sorted({operation.method for operation in OPERATIONS if _match(operation.path, path) is not None})


def _match(template: str, path: str) -> dict[str, str] | None:
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    values = {}
    for part, value in zip(wanted, given, strict=True):
        if part.startswith("{"):
            values[part[1:-1]] = value
        elif part != value:
            return None
    return values
