"""What keeps a container from starting for now."""

from __future__ import annotations

__all__ = ["Blocked"]

_RETRY_S = 10.0


class Blocked(Exception):
    """A container cannot start now; it is tried again when something it may need has changed, or a little later.

    Args:
        message: one sentence, as kubelet words it.
        reason: for the container's waiting state; None leaves that as it is (ContainerCreating, mostly).
        event: reason of the Kubernetes event that tells it.
        told: the event's message; by default "Error: " and the message if there is a reason, else the message.
        retry: seconds until the next try if nothing changes.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        event: str = "Failed",
        told: str | None = None,
        retry: float = _RETRY_S,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.event = event
        self.told = told or (f"Error: {message}" if reason else message)
        self.retry = retry
