"""The project's own commands, as a test calls them."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs the project's commands with a sandbox's environment."""

    directory: Path
    env: dict[str, str]

    def run(
        self, *command: str, check: bool = True, timeout: float = 600, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; with check, a failure shows everything that it printed."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**self.env, **env},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout[-8000:]}")
        return done

    def playbook(self, name: str, *args: str, check: bool = True) -> str:
        """Run one of our playbooks on the sandbox's inventory; its output."""
        command = ("ansible-playbook", f"playbooks/{name}.yml", "--inventory", "inventories/sandbox", *args)
        return self.run(*command, check=check).stdout
