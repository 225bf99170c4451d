"""`sandbox env`: what a shell needs to reach the sandbox with aws, kubectl-like clients, helm and ansible-playbook."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from sandbox.state import State

__all__ = ["exports"]

# Of another account; they would go along with the sandbox's key.
_DISTURBING = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def exports(state: State, shell: Mapping[str, str] | None = None) -> list[str]:
    """Lines for `eval`; nothing in them makes a process that inherits them one of the sandbox's own.

    Args:
        shell: the environment of the shell that will read them; this process's if None.
    """
    shell = os.environ if shell is None else shell
    variables = {
        "AWS_ENDPOINT_URL": state.aws_url,
        "AWS_REGION": state.region,
        "AWS_DEFAULT_REGION": state.region,
        # The embedded AWS takes an account id as the access key of that account's root user.
        "AWS_ACCESS_KEY_ID": state.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if any(shell.get(name) or shell.get(name.upper()) for name in _PROXIES):
        # Clients ask the proxy for everything but this.
        direct = ",".join(filter(None, (shell.get("NO_PROXY") or shell.get("no_proxy"), "127.0.0.1")))
        variables |= {"NO_PROXY": direct, "no_proxy": direct}
    if state.kubernetes:
        variables |= {"KUBECONFIG": str(state.admin_kubeconfig), "SANDBOX_CHARTS": str(state.charts)}
    lines = [f"unset {name}" for name in _DISTURBING if name in shell]
    lines += [_line(name, value) for name, value in variables.items()]
    if state.kubernetes:
        lines.append(f"export PATH={shlex.quote(str(state.bin))}:$PATH")
    return lines


def _line(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"
