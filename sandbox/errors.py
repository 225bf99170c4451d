"""The one exception tree of the sandbox: a message of one sentence, meant for the person at the terminal."""

from __future__ import annotations

__all__ = ["NotUpError", "ProcessError", "SandboxError"]


class SandboxError(Exception):
    """Something the user can act on; `sandbox` prints it without a traceback and exits with 1."""


class NotUpError(SandboxError):
    """There is no sandbox in the state directory that was asked for."""


class ProcessError(SandboxError):
    """A process of the sandbox did not start, did not become ready or did not end."""
