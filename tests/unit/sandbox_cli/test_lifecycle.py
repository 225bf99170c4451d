"""`sandbox up`, `down`, `status`, `env` and `logs`, by the command's own entry point."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import parts, processes
from sandbox.cli import main
from sandbox.errors import SandboxError
from sandbox.processes import Process
from sandbox.shell_env import exports
from sandbox.state import State

Say = Callable[..., str]


@pytest.fixture
def run(directory: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command on the state directory: (status, output, errors)."""

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([words[0], "--state", str(directory), *words[1:]])
        out, err = capsys.readouterr()
        return status, out, err

    return command


Run = Callable[..., tuple[int, str, str]]


def pids(directory: Path) -> dict[str | None, int]:
    return {process.name: process.pid for process in processes.find(directory)}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_up_status_down(directory: Path, run: Run) -> None:
    status, out, _ignored = run("up")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["aws", "kubelet"]
    assert out.splitlines()[-1].startswith("The sandbox is up after ")
    status, out, _ignored = run("status")
    assert status == 0
    assert [line.split()[-1] for line in out.splitlines()] == ["healthy", "healthy"]
    assert [int(line.split()[1]) for line in out.splitlines()] == list(pids(directory).values())
    assert run("down") == (0, "2 processes ended.\n", "")
    assert pids(directory) == {}
    status, _ignored, err = run("status")
    assert status == 1
    assert "There is no sandbox in" in err
    assert run("down")[0] == 0


def test_up_when_up_changes_nothing(directory: Path, run: Run) -> None:
    run("up")
    before = pids(directory)
    status, out, _ignored = run("up")
    assert (status, pids(directory)) == (0, before)
    assert "is up already" in out
    assert "is up already" in run("up", "--only", "aws")[1]


@pytest.mark.parametrize("victim", ["aws", "kubelet"])
def test_up_after_a_kill_starts_anew(directory: Path, run: Run, victim: str) -> None:
    run("up")
    before = pids(directory)
    slot = State.load(directory).slot
    kill(before[victim])
    status, out, _ignored = run("status")
    assert status == 1
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(victim)] == ["ended"]
    status, out, _ignored = run("up")
    assert status == 0
    assert "1 processes of an earlier sandbox ended." in out
    assert not set(pids(directory).values()) & set(before.values())
    assert State.load(directory).slot == slot


def test_up_for_more_than_is_there_starts_anew(directory: Path, run: Run) -> None:
    run("up", "--only", "aws", "--hpa-sync", "5s", "--filter-delay", "2.5")
    assert list(pids(directory)) == ["aws"]
    assert State.load(directory).hpa_sync == "5s"
    assert State.load(directory).filter_delay_s == 2.5
    assert run("up")[0] == 0
    assert sorted(name or "" for name in pids(directory)) == ["aws", "kubelet"]


def test_two_sandboxes_side_by_side(directory: Path, run: Run) -> None:
    run("up")
    other = directory.parent / "other"
    assert main(["up", "--state", str(other)]) == 0
    one, two = State.load(directory), State.load(other)
    assert one.slot != two.slot
    assert not set(one.ports.values()) & set(two.ports.values())
    assert main(["down", "--state", str(other)]) == 0
    assert len(pids(directory)) == 2


def test_a_slot_is_held_until_the_last_process_is_dead(directory: Path, run: Run) -> None:
    run("up")
    slot = State.load(directory).slot
    kill(pids(directory)["aws"])
    other = directory.parent / "other"
    assert main(["up", "--state", str(other)]) == 0
    assert State.load(other).slot != slot
    main(["down", "--state", str(other)])


def test_a_failed_start_leaves_nothing(
    directory: Path, run: Run, make: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(state: State) -> list[Process]:
        argv = ("/nowhere/kubelet",)
        good = make("aws", directory=state.directory)
        return [good, Process(name="kubelet", argv=argv, ready=lambda: False, log=state.logs / "kubelet.log")]

    monkeypatch.setattr(parts, "processes", broken)
    status, _ignored, err = run("up")
    assert status == 1
    assert err.startswith("sandbox: kubelet cannot be started: ")
    assert pids(directory) == {}
    assert run("status")[0] == 1


def test_ctrl_c_takes_down_what_was_started(
    directory: Path, run: Run, make: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    def slow(state: State) -> list[Process]:
        good = make("aws", directory=state.directory)
        return [good, Process(name="x", argv=good.argv, ready=interrupted, log=state.logs / "x.log")]

    monkeypatch.setattr(parts, "processes", slow)
    status, _ignored, err = run("up")
    assert (status, err) == (130, "sandbox: interrupted; what it had started is ended.\n")
    assert pids(directory) == {}


def test_errors_of_the_preparation_are_told(directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_state: State, _say: object) -> None:
        raise SandboxError("The cache cannot be written.")

    monkeypatch.setattr(parts, "prepare", fail)
    assert run("up")[0::2] == (1, "sandbox: The cache cannot be written.\n")
    assert run("up")[0] == 1


def test_a_directory_with_other_things_is_left_alone(directory: Path, run: Run) -> None:
    directory.mkdir()
    (directory / "thesis.txt").write_text("precious")
    for command in ("up", "down"):
        status, _ignored, err = run(command)
        assert status == 1
        assert "holds other things than a sandbox" in err
    assert (directory / "thesis.txt").read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_told(directory: Path, run: Run) -> None:
    directory.parent.joinpath("file").write_text("")
    status = main(["up", "--state", str(directory.parent / "file" / "state")])
    assert status == 1


def test_two_at_work_in_one_directory(directory: Path, run: Run) -> None:
    directory.mkdir()
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _ignored, err = run("up")
    assert status == 1
    assert "Another `sandbox up` or `down` is at work" in err


def test_env_is_for_a_shell(directory: Path, run: Run) -> None:
    run("up", "--only", "aws")
    _ignored, out, _ignored = run("env")
    found = dict(shlex.split(line)[1].split("=", 1) for line in out.splitlines())
    assert found["AWS_ENDPOINT_URL"] == State.load(directory).aws_url
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_REGION"]) == ("123456789012", "us-east-1")
    assert not {"SANDBOX_OWNER", "KUBECONFIG", "PATH"} & found.keys()
    run("up")
    _ignored, out, _ignored = run("env")
    found = dict(shlex.split(line)[1].split("=", 1) for line in out.splitlines())
    assert found["KUBECONFIG"] == str(directory / "admin.kubeconfig")
    assert found["SANDBOX_CHARTS"] == str(directory / "charts")
    assert found["PATH"] == f"{directory / 'bin'}:$PATH"


def test_env_keeps_another_accounts_settings_and_proxies_out(directory: Path, run: Run) -> None:
    run("up", "--only", "aws")
    state = State.load(directory)
    plain = exports(state, {"AWS_REGION": "eu-west-1"})
    assert not [line for line in plain if "proxy" in line.lower() or line.startswith("unset")]
    shell = {"https_proxy": "http://proxy:3128", "NO_PROXY": "intranet", "AWS_PROFILE": "work"}
    lines = exports(state, shell)
    assert lines[0] == "unset AWS_PROFILE"
    assert {"export NO_PROXY=intranet,127.0.0.1", "export no_proxy=intranet,127.0.0.1"} <= set(lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hpa-sync", "5"], "'5' is no duration such as 15s"),
        (["--hpa-sync", "0s"], "'0s' is no duration"),
        (["--filter-delay", "-1"], "'-1' is no number of seconds"),
        (["--port", "70000"], "'70000' is no port from 1 to 65535"),
        (["--only", "gcp"], "invalid choice"),
    ],
)
def test_wrong_usage_is_told(
    directory: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["up", "--state", str(directory), *words])
    assert message in capsys.readouterr().err
    assert not directory.exists()


def test_logs(directory: Path, run: Run) -> None:
    run("up")
    assert run("logs")[1] == "aws\nkubelet\npods\n"
    assert run("logs", "aws")[1] == "serving\n"
    assert run("logs", "nobody")[0::2] == (
        1,
        "sandbox: There is no log of 'nobody'; there is: aws, kubelet, pods.\n",
    )
    run("down")
    assert run("logs", "aws", "--follow")[1] == "serving\n"


def test_logs_of_pods(directory: Path, run: Run) -> None:
    assert run("logs", "pods") == (0, "", "")
    runs = ["ns_web_u1/main/9", "ns_web_u2/main/0", "ns_web_u2/main/1", "ns_two_u3/init/0", "ns_two_u3/main/0"]
    for second, name in enumerate(runs):
        log = directory / "logs" / "pods" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{name}\n")
        os.utime(log, (second, second))
    assert run("logs", "pods")[1] == "ns/two/init\nns/two/main\nns/web/main\n"
    assert run("logs", "ns/web")[1] == "ns_web_u2/main/1\n"
    assert run("logs", "ns/two/init", "--follow")[1] == "ns_two_u3/init/0\n"
    for name, message in {
        "ns/two": "'ns/two' is more than one log; name one of: ns/two/init, ns/two/main.",
        "ns/we": "There is no log of a pod 'ns/we'; `sandbox logs pods` lists what there is.",
    }.items():
        assert run("logs", name) == (1, "", f"sandbox: {message}\n")


def test_the_embedded_aws_alone_is_up_in_a_moment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "real"
    try:
        assert main(["up", "--only", "aws", "--state", str(directory)]) == 0
        url = State.load(directory).aws_url
        with urllib.request.urlopen(f"{url}/_sandbox/health", timeout=5) as answer:
            assert answer.status == 200
        assert main(["status", "--state", str(directory)]) == 0
    finally:
        assert main(["down", "--state", str(directory)]) == 0
    assert processes.find(directory) == []
