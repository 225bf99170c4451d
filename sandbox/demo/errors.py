"""What the demo says when it cannot go on."""

from __future__ import annotations

from sandbox.errors import SandboxError

__all__ = ["DemoError"]


class DemoError(SandboxError):
    """One sentence, and where to look next."""
