"""In-cluster names in arguments and variables become loopback addresses, as there is no cluster DNS on this machine.

Only the full form `<service>.<namespace>.svc[.cluster.local]` is taken for a name; a shorter one could be any word.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox.kubernetes.kubelet.addresses import local

__all__ = ["rewrite", "served_port"]

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(
    rf"(?:\b(?P<scheme>https?)://)?(?<![\w.-])(?P<service>{_LABEL})\.(?P<namespace>{_LABEL})\.svc"
    r"(?:\.cluster\.local\.?)?(?![\w-]|\.\w)(?::(?P<port>\d+))?"
)
_SCHEME_PORTS = {"http": 80, "https": 443}
_PRIVILEGED = 1024
_SHIFT = 20000


def served_port(port: int) -> int:
    """The port that stands for a service's port: below 1024 only root may listen, so those are moved up."""
    return port + _SHIFT if port < _PRIVILEGED else port


def rewrite(text: str, cluster_ip: Callable[[str, str], str | None]) -> str:
    """Replace names of services that have an address.

    Args:
        text: an argument or the value of a variable.
        cluster_ip: a service's address by namespace and name; None if it has none.
    """

    def one(match: re.Match[str]) -> str:
        address = cluster_ip(match["namespace"], match["service"])
        if address is None:
            return match[0]
        scheme, port = match["scheme"], match["port"]
        number = int(port) if port else _SCHEME_PORTS.get(scheme or "")
        host = local(address) + (f":{served_port(number)}" if number else "")
        return f"{scheme}://{host}" if scheme else host

    return _NAME.sub(one, text)
