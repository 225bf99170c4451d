"""The error of everything about obtaining the Kubernetes programs."""

from __future__ import annotations

from sandbox.errors import SandboxError

__all__ = ["BuildError"]


class BuildError(SandboxError):
    """The Kubernetes programs or charts could not be compiled, packaged or kept."""
