"""What a sandbox is: its directory, its ports and its slot of loopback addresses; all else follows from these."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import NotUpError, SandboxError

__all__ = ["ACCOUNT", "PORTS", "REGION", "SLOTS", "State", "default_directory"]

ACCOUNT = "123456789012"
REGION = "us-east-1"
PORTS = ("aws", "etcd", "etcd_peer", "apiserver", "controller_manager", "scheduler")
SLOTS = range(41)

# sun_path holds 108 bytes including its final zero (unix(7)).
_SOCKET_PATH_LIMIT = 107


@dataclass(frozen=True)
class State:
    """One sandbox, as `sandbox up` chose it and as every process of it reads it (`state.json`).

    Attributes:
        directory: absolute path of the state directory.
        account: AWS account id; also the access key of the embedded AWS's root user.
        region: the one AWS region that is seeded.
        slot: number of the sandbox on this machine; gives it loopback addresses of its own.
        ports: TCP port on 127.0.0.1 by process, see PORTS.
        kubernetes: False if only the embedded AWS was asked for.
        hpa_sync: the controller-manager's --horizontal-pod-autoscaler-sync-period (EKS: 15s).
        filter_delay_s: the longest time until SNS applies a subscription's filter (AWS: 15 minutes).
    """

    directory: Path
    account: str
    region: str
    slot: int
    ports: dict[str, int]
    kubernetes: bool = True
    hpa_sync: str = "15s"
    filter_delay_s: float = 1.0

    @classmethod
    def load(cls, directory: Path) -> State:
        """Read `state.json`.

        Raises:
            NotUpError: there is none.
            SandboxError: it cannot be read as one.
        """
        directory = directory.resolve()
        try:
            fields: dict[str, Any] = json.loads((directory / "state.json").read_text())
            return cls(**{**fields, "directory": directory})
        except FileNotFoundError:
            raise NotUpError(f"There is no sandbox in {directory}; `sandbox up` starts one.") from None
        except (OSError, ValueError, TypeError) as error:
            raise SandboxError(
                f"{directory / 'state.json'} is unreadable ({error}); `sandbox up` makes it anew."
            ) from error

    def save(self) -> None:
        """Write `state.json`, whole or not at all."""
        fields = {**dataclasses.asdict(self), "directory": str(self.directory)}
        unfinished = self.directory / "state.json.part"
        unfinished.write_text(json.dumps(fields, indent=1) + "\n")
        unfinished.replace(self.directory / "state.json")

    @property
    def aws_url(self) -> str:
        """Endpoint of the embedded AWS."""
        return f"http://127.0.0.1:{self.ports['aws']}"

    @property
    def api_url(self) -> str:
        """Endpoint of the Kubernetes API server."""
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    @property
    def pki(self) -> Path:
        """Directory of the cluster's certificates and keys."""
        return self.directory / "pki"

    @property
    def logs(self) -> Path:
        """Directory with one log file per process, `<name>.log`."""
        return self.directory / "logs"

    @property
    def admin_kubeconfig(self) -> Path:
        """Kubeconfig of a cluster administrator."""
        return self.directory / "admin.kubeconfig"

    @property
    def charts(self) -> Path:
        """Directory of the packaged third-party charts."""
        return self.directory / "charts"

    @property
    def kubelet(self) -> Path:
        """Directory of the kubelet: pods' files and logs."""
        return self.directory / "kubelet"

    @property
    def bin(self) -> Path:
        """Directory (a link into the cache) of the Kubernetes binaries."""
        return self.directory / "bin"

    @property
    def connect_socket(self) -> Path:
        """Unix socket on which the kubelet takes the API server's connections to pods, services and nodes."""
        path = self.directory / "connect.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        short = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        return runtime / f"sandbox-{os.getuid()}-{short}" / "connect.sock"

    @property
    def pod_net(self) -> int:
        """Second octet of the pods' addresses: 10.<this>.0.0/16 in the API, 127.<this>.x.y for the processes."""
        return 4 * self.slot + 64

    @property
    def service_net(self) -> int:
        """Second octet of the services' addresses."""
        return 4 * self.slot + 65

    @property
    def node_net(self) -> int:
        """Second octet of the nodes' addresses."""
        return 4 * self.slot + 66


def default_directory() -> Path:
    """`build/sandbox` of this checkout, or of the working directory if the package was installed elsewhere."""
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / "galaxy.yml").is_file():
        checkout = Path.cwd()
    return checkout / "build" / "sandbox"
