"""`sandbox env`: what a shell needs to reach the sandbox with aws, kubectl-like clients, helm and ansible-playbook."""

from __future__ import annotations

import shlex

from sandbox.state import State

__all__ = ["exports"]


def exports(state: State) -> list[str]:
    """Lines for `eval`; nothing in them makes a process that inherits them one of the sandbox's own."""
    variables = {
        "AWS_ENDPOINT_URL": state.aws_url,
        "AWS_REGION": state.region,
        "AWS_DEFAULT_REGION": state.region,
        # The embedded AWS takes an account id as the access key of that account's root user.
        "AWS_ACCESS_KEY_ID": state.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if not state.kubernetes:
        return [_line(name, value) for name, value in variables.items()]
    variables |= {"KUBECONFIG": str(state.admin_kubeconfig), "SANDBOX_CHARTS": str(state.charts)}
    return [
        *(_line(name, value) for name, value in variables.items()),
        f"export PATH={shlex.quote(str(state.bin))}:$PATH",
    ]


def _line(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"
