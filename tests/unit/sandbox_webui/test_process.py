"""The simulator as a process: flags, knobs, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.webui.a1111.arguments import parse
from sandbox.webui.a1111.errors import SettingsError
from sandbox.webui.a1111.knobs import Knobs

ROOT = Path(__file__).resolve().parents[3]


class Process:
    """A running simulator."""

    def __init__(self, *flags: str, **environment: str) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.child = subprocess.Popen(
            [sys.executable, "-m", "sandbox.webui.a1111", "--api", "--nowebui", "--port", str(self.port), *flags],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, words: str) -> None:
        """Read its log up to a line with these words."""
        assert self.child.stdout
        for line in self.child.stdout:
            if words in line:
                return
        raise AssertionError(f"it ended without saying {words!r}")

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """A txt2img."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/sdapi/v1/txt2img",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return dict(json.load(response))

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/sdapi/v1/{path}", timeout=30) as response:
            return json.load(response)


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.child.kill()
        process.child.wait()
        if process.child.stdout:
            process.child.stdout.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -15), (signal.SIGINT, 0)])
def test_a_signal_waits_for_the_run(processes: list[Process], number: signal.Signals, status: int) -> None:
    process = Process("--no-half", "--unheard-of", SIMULATOR_STEP_SECONDS="0.03", SIMULATOR_LOAD_SECONDS="0")
    processes.append(process)
    process.until("Running on")
    with ThreadPoolExecutor() as pool:
        reply = pool.submit(process.post, {"steps": 10, "width": 64, "height": 64, "prompt": "A dog"})
        while not process.get("progress?skip_current_image=true")["state"]["job"]:
            assert not reply.done()
        process.child.send_signal(number)
        assert len(reply.result()["images"]) == 1
    assert process.child.wait(10) == status


@pytest.mark.parametrize(
    ("flags", "environment", "sentence"),
    [
        ([], {"SIMULATOR_STEP_SECONDS": "fast"}, "SIMULATOR_STEP_SECONDS must be a number of seconds, not 'fast'."),
        (["--server-name", "192.0.2.1"], {}, "it cannot listen"),
    ],
)
def test_bad_settings_end_in_a_sentence(
    processes: list[Process], flags: list[str], environment: dict[str, str], sentence: str
) -> None:
    process = Process(*flags, **environment)
    processes.append(process)
    output, _ignored = process.child.communicate(timeout=30)
    assert process.child.returncode in (1, 2)
    assert sentence in output
    assert "Traceback" not in output


def test_knobs() -> None:
    knobs = Knobs.read(
        {"SIMULATOR_MODELS": "a.safetensors, b.safetensors=a.safetensors,", "SIMULATOR_START_SECONDS": "1.5"}
    )
    assert knobs.models == ("a.safetensors", "b.safetensors=a.safetensors")
    assert (knobs.start_seconds, knobs.step_seconds) == (1.5, 0.02)
    assert Knobs.read({}).models is None
    assert Knobs.read({"SIMULATOR_MODELS": ""}).models == ()


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1s"])
def test_bad_knobs_are_named(text: str) -> None:
    with pytest.raises(SettingsError, match="SIMULATOR_LOAD_SECONDS"):
        Knobs.read({"SIMULATOR_LOAD_SECONDS": text})


def test_flags() -> None:
    flags = parse(
        ["--api", "--nowebui", "--skip-version-check", "--server-name", "127.0.0.1", "--port", "7860", "--new", "x"]
    )
    assert (flags.api, flags.nowebui, flags.server_name, flags.port) == (True, True, "127.0.0.1", 7860)


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--api-auth", "nocolon"], ["--api-auth", "a:b:c"], ["--port"]])
def test_bad_flags(arguments: list[str]) -> None:
    with pytest.raises(SettingsError):
        parse(arguments)
