"""The demo's course, with everything outside played by small fakes."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from sandbox.demo import __main__ as command
from sandbox.demo import run as module
from sandbox.demo.cloud import Api, object_facts, queue_facts, row_facts
from sandbox.demo.errors import DemoError
from sandbox.demo.run import Settings
from sd_agent.client import RequestRefused, WaitTimeout

PROMPTS = {"21123": ("A dog", 768), "31311": ("A fantasy landscape, trending on artstation, mystical sky", 512)}


def _image(task: str) -> bytes:
    prompt, side = PROMPTS[task]
    information = PngImagePlugin.PngInfo()
    information.add_text("parameters", prompt)
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "PNG", pnginfo=information)
    return buffer.getvalue()


def _answer(task: str, status: str = "completed") -> dict[str, Any]:
    error = None if status == "completed" else {"code": "webui_error", "message": "it broke"}
    return {
        "id": task,
        "status": status,
        "result": not error,
        "image_url": [f"s3://b/{task}/{task}-0.png"],
        "error": error,
    }


class FakeCloud:
    """Plays sandbox.demo.cloud.Cloud."""

    name = "sd"
    answers_queue = "queue"
    api = Api("http://api/prod", "key", "demo")

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def depths(self) -> dict[str, tuple[int, int]]:
        return {"sd-default": (len(self.rows), 0)}

    def row(self, task: str) -> dict[str, Any] | None:
        return self.rows.get(task)

    def stored(self, location: str) -> dict[str, int]:
        return {f"{location}-0.png": 2048, f"{location}.out": 10}

    def fetch(self, url: str) -> bytes:
        return _image(url.split("/")[-2])


class FakeClient:
    """Plays sd_agent.client.Client."""

    def __init__(self, answers: dict[str, dict[str, Any]], refusal: Exception | None = None) -> None:
        self.sent: list[str] = []
        self._answers = answers
        self._refusal = refusal

    def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        if self._refusal:
            raise self._refusal
        task = body["alwayson_scripts"]["id_task"]
        self.sent.append(task)
        return {"output_location": task}

    def wait(self, ids: set[str], timeout: float) -> dict[str, dict[str, Any]]:
        found = {task: self._answers[task] for task in ids if task in self._answers}
        if found.keys() == ids:
            return found
        raise WaitTimeout(found, ids - found.keys())


class FakeCluster:
    """Plays sandbox.demo.cluster.Cluster: nothing ever happens."""

    def __init__(self, kubeconfig: Path) -> None:
        pass

    async def __aenter__(self) -> FakeCluster:
        return self

    async def __aexit__(self, *_ignored: object) -> None:
        pass

    async def list(self, path: str) -> tuple[list[dict[str, Any]], str]:
        return [], "1"

    async def watch(self, path: str, version: str) -> Any:
        await asyncio.Event().wait()
        yield


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    fake = FakeCloud()
    monkeypatch.setattr(module, "Cloud", lambda name, endpoint: fake)
    monkeypatch.setattr(module, "Cluster", FakeCluster)
    yield fake


def _play(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: FakeClient, deadline_s: float = 10
) -> tuple[str, list[str]]:
    monkeypatch.setattr(module, "_client", lambda aws: client)
    settings = Settings("sd", "http://127.0.0.1:1", tmp_path / "kubeconfig", tmp_path / "demo", deadline_s)
    lines: list[str] = []
    return asyncio.run(module.run(settings, lines.append)), lines


def test_both_requests_answered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cloud: FakeCloud) -> None:
    client = FakeClient({task: _answer(task) for task in PROMPTS})
    sentence, lines = _play(monkeypatch, tmp_path, client)
    assert client.sent == ["21123", "31311"]
    assert sentence.startswith("2 requests answered in 0.")
    assert sentence.endswith("demo: 21123.json, 21123-0.png, 31311.json, 31311-0.png")
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "21123-0.png",
        "21123.json",
        "31311-0.png",
        "31311.json",
    ]
    stages = [line.split("s  ")[1].split()[0] for line in lines[1:]]
    assert stages.count("sent") == stages.count("answer") == stages.count("image") == 2


def test_a_failed_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cloud: FakeCloud) -> None:
    client = FakeClient({"21123": _answer("21123", "failed"), "31311": _answer("31311")})
    with pytest.raises(DemoError, match=r"^Task 21123 ended as 'failed' \(webui_error: it broke\)\.$"):
        _play(monkeypatch, tmp_path, client)
    # The other one is kept all the same.
    assert (tmp_path / "demo" / "31311-0.png").exists()


def test_a_late_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cloud: FakeCloud) -> None:
    client = FakeClient({"21123": _answer("21123")})
    with pytest.raises(DemoError, match=r"^No answer to 31311 after 0 s: the task table has no row"):
        _play(monkeypatch, tmp_path, client, deadline_s=0.1)


def test_a_refused_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cloud: FakeCloud) -> None:
    client = FakeClient({}, RequestRefused(404, "no_runtime", "nobody serves it"))
    with pytest.raises(DemoError, match="404 no_runtime: nobody serves it"):
        _play(monkeypatch, tmp_path, client)


def test_asked_a_second_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.rows = {task: {"id": task, "status": "completed", "answer": json.dumps(_answer(task))} for task in PROMPTS}
    sentence, lines = _play(monkeypatch, tmp_path, FakeClient({}))
    assert "31311-0.png" in sentence
    assert any("was answered before" in line for line in lines)


def test_facts_from_aws() -> None:
    assert [fact.text for fact in queue_facts({"sd-default": (2, 1)})] == ["sd-default: 2 waiting, 1 in flight"]
    rows = [
        None,
        {"id": "1", "status": "accepted"},
        {"id": "2", "status": "running", "worker": "p-1", "attempt": "1"},
        {"id": "3", "status": "running", "attempt": "2"},
    ]
    assert [fact.text for fact in row_facts(rows)] == ["2 received by p-1", "3 received by an agent, attempt 2"]
    facts = list(object_facts("1", {"1-0.png": 2048, "1.out": 5}))
    assert [fact.text for fact in facts] == ["1-0.png stored, 2 KiB"]


def test_without_the_sandbox_s_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr("sys.argv", ["demo"])
    assert command.main() == 1
    assert capsys.readouterr().err == 'demo: AWS_ENDPOINT_URL and KUBECONFIG not set; run: eval "$(sandbox env)"\n'


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_ignored: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    monkeypatch.setattr("sys.argv", ["demo"])
    monkeypatch.setattr(command, "run", lambda *_ignored: None)
    monkeypatch.setattr(command.asyncio, "run", interrupted)
    assert command.main() == 130
    assert "interrupted" in capsys.readouterr().err
