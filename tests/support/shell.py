"""The project's own commands, as a user at a shell calls them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# What inventories/sandbox runs; the Makefile pushes the same.
IMAGES = ("queue-agent:0.1.0", "a1111:1.10.1")
# What points at another AWS or another cluster than the sandbox's.
FOREIGN = ("AWS_", "KUBECONFIG", "SANDBOX_CHARTS")


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs the project's commands in a directory with an environment."""

    directory: Path
    env: dict[str, str]

    @classmethod
    def bare(cls) -> Self:
        """A shell in the checkout that knows no sandbox."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        env |= {"PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_FORCE_COLOR": "0", "PYTHONUNBUFFERED": "1"}
        return cls(directory=ROOT, env=env)

    def for_sandbox(self, state: Path) -> Self:
        """This shell after eval "$(sandbox env)"."""
        env = dict(self.env)
        for line in self.run("sandbox", "env", "--state", str(state)).stdout.splitlines():
            command, assignment = shlex.split(line)
            name, _ignored, value = assignment.partition("=")
            if command == "unset":
                env.pop(name, None)
            else:
                env[name] = value.replace("$PATH", env["PATH"])
        return replace(self, env=env)

    def run(self, *command: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command; with check, AssertionError with everything that it printed if it fails."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout[-8000:]}")
        return done

    def playbook(self, name: str, *args: str, check: bool = True) -> str:
        """Run one of our playbooks on the sandbox's inventory; its output."""
        command = ("ansible-playbook", f"playbooks/{name}.yml", "--inventory", "inventories/sandbox", *args)
        return self.run(*command, check=check).stdout
