"""How a task can go wrong inside the agent."""

from __future__ import annotations

from sd_agent.contract.errors import ErrorCode, InvalidRequest, SdAgentError

__all__ = ["Abandoned", "TaskError", "Unavailable"]


class Unavailable(SdAgentError):
    """An AWS service that the agent depends on failed. `service` names it."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service


class TaskError(SdAgentError):
    """A task failed. retry: whether another attempt can turn out better."""

    def __init__(self, code: ErrorCode, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry

    @classmethod
    def of(cls, error: InvalidRequest) -> TaskError:
        """The same complaint about a task that is already at work; no attempt makes it better."""
        where = f"{error.field}: " if error.field and not error.message.startswith(error.field) else ""
        return cls(error.code, where + error.message)


class Abandoned(SdAgentError):
    """The work on a task was given up without a result: the agent is stopping, lost the task to another one, or the
    task was cancelled."""

    def __init__(self, reason: str, *, lost: bool = False, cancelled: bool = False) -> None:
        super().__init__(reason)
        self.lost = lost
        self.cancelled = cancelled
