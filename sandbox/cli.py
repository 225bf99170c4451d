"""The command `sandbox`: an AWS account and a Kubernetes cluster of your own, on this machine."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox import lifecycle, logs, shell_env
from sandbox.errors import SandboxError
from sandbox.state import State, default_directory

__all__ = ["main"]


def _say(line: str) -> None:
    print(line, flush=True)


def _up(arguments: argparse.Namespace) -> int:
    # Ended by a CI system's time limit, it leaves as little behind as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lifecycle.up(
        arguments.state,
        _say,
        kubernetes=arguments.only != "aws",
        hpa_sync=arguments.hpa_sync,
        filter_delay_s=arguments.filter_delay,
        port=arguments.port,
    )
    return 0


def _build(_arguments: argparse.Namespace) -> int:
    from sandbox.kubernetes import build

    _say(f"The Kubernetes programs are in {build.ensure(_say)}.")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    lifecycle.down(arguments.state, _say)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    return 0 if lifecycle.status(arguments.state, _say) else 1


def _env(arguments: argparse.Namespace) -> int:
    for line in shell_env.exports(State.load(arguments.state)):
        _say(line)
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    if arguments.name and arguments.name != logs.PODS:
        # Ctrl-C is how one stops to follow.
        with contextlib.suppress(KeyboardInterrupt):
            logs.show(arguments.state, arguments.name, follow=arguments.follow)
        return 0
    for name in logs.pods(arguments.state) if arguments.name else [*logs.names(arguments.state), logs.PODS]:
        _say(name)
    return 0


def _push(arguments: argparse.Namespace) -> int:
    # Late: boto3 takes a third of a second to import.
    from sandbox.push import push

    push(State.load(arguments.state), arguments.image, _say)
    return 0


def _duration(text: str) -> str:
    """A duration as Go writes it, longer than nothing."""
    if not re.fullmatch(r"(?=.*[1-9])(\d+(\.\d+)?(ms|s|m|h))+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 15s or 1m30s")
    return text


def _seconds(text: str) -> float:
    """A number of seconds, none of them too."""
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds such as 1.5")
    return float(text)


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state", type=Path, default=default_directory(), metavar="DIR", help="state directory (default: %(default)s)"
    )
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[common], help="start it; does nothing if it is up")
    up.add_argument("--only", choices=["aws"], help="start the embedded AWS alone, without Kubernetes")
    up.add_argument("--port", type=_port, metavar="N", help="port of the embedded AWS (default: a free one)")
    up.add_argument(
        "--hpa-sync",
        type=_duration,
        default="15s",
        metavar="DURATION",
        help="how often the horizontal pod autoscaler looks (default: %(default)s, as on EKS)",
    )
    up.add_argument(
        "--filter-delay",
        type=_seconds,
        default=1.0,
        metavar="SECONDS",
        help="the longest time until SNS applies a subscription's filter (default: %(default)s; on AWS 15 minutes)",
    )
    up.set_defaults(run=_up)

    build = commands.add_parser("build", help="compile the Kubernetes programs that `up` needs, if they are not yet")
    build.set_defaults(run=_build)

    down = commands.add_parser("down", parents=[common], help="end every process of it")
    down.set_defaults(run=_down)

    status = commands.add_parser("status", parents=[common], help="each process with pid, port and health")
    status.set_defaults(run=_status)

    env = commands.add_parser("env", parents=[common], help='print exports: eval "$(sandbox env)"')
    env.set_defaults(run=_env)

    log = commands.add_parser("logs", parents=[common], help="names of the logs, or one of them")
    log.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a process, NAMESPACE/POD or NAMESPACE/POD/CONTAINER; `pods` lists those of pods",
    )
    log.add_argument("-f", "--follow", action="store_true", help="go on until the sandbox has ended")
    log.set_defaults(run=_logs)

    push = commands.add_parser(
        "push",
        parents=[common],
        help="put images into the embedded registry",
        description="Put small OCI images into the embedded registry (ECR). Their layer stands for the real image's "
        "file system: for queue-agent it is the source of the package sd_agent, for any other name a note. What a pod "
        "of the image runs is told by the sandbox's kubelet; a pod of an image that was not pushed gets ErrImagePull.",
    )
    push.add_argument("image", nargs="+", metavar="NAME:TAG")
    push.set_defaults(run=_push)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 is success, 1 an error told in one sentence, 2 wrong usage, 130 Ctrl-C."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sandbox: interrupted; what it had started is ended.", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # `sandbox logs aws | head`: the reader has had enough; keep Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
