"""The control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, set up as Amazon EKS does.

Where a flag is not Kubernetes' default, the line above it says why.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Callable

import yaml

from sandbox.processes import Process
from sandbox.state import State

__all__ = ["configure", "processes"]

_TIMEOUT_S = 2.0
# https://docs.aws.amazon.com/eks/latest/userguide/platform-versions.html lists what EKS turns on; of that list these
# two are not on by default. The second one lets GPU pods tolerate GPU nodes' taint.
_ADMISSION = ("NodeRestriction", "ExtendedResourceToleration")


def configure(state: State) -> None:
    """Write the configuration files that the API server reads at its start.

    Raises:
        OSError: the state directory cannot be written.
    """
    # Nothing but the kubelet can reach pods, services and nodes: they have no network, only loopback addresses.
    egress = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [
            {
                "name": "cluster",
                "connection": {
                    "proxyProtocol": "HTTPConnect",
                    "transport": {"uds": {"udsName": str(state.connect_socket)}},
                },
            }
        ],
    }
    # A bearer token that is not a service account's goes to the embedded AWS, as EKS sends it to its authenticator.
    webhook = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "aws", "cluster": {"server": f"{state.aws_url}/_sandbox/token-review"}}],
        "users": [{"name": "apiserver", "user": {}}],
        "contexts": [{"name": "aws", "context": {"cluster": "aws", "user": "apiserver"}}],
        "current-context": "aws",
    }
    directory = state.directory / "control-plane"
    directory.mkdir(exist_ok=True)
    (directory / "egress.yaml").write_text(yaml.safe_dump(egress, sort_keys=False))
    (directory / "token-webhook.yaml").write_text(yaml.safe_dump(webhook, sort_keys=False))


def processes(state: State) -> list[Process]:
    """The four processes in the order of their start; `configure` and `pki.write` go before."""
    etcd_url = f"http://127.0.0.1:{state.ports['etcd']}"
    return [
        Process(
            name="etcd",
            argv=(str(state.bin / "etcd"), *_etcd(state, etcd_url)),
            ready=f"{etcd_url}/readyz",
            log=state.logs / "etcd.log",
            port=state.ports["etcd"],
            after=(),
        ),
        Process(
            name="kube-apiserver",
            argv=(str(state.bin / "kube-apiserver"), *_apiserver(state, etcd_url)),
            ready=_ready(state, "apiserver"),
            log=state.logs / "kube-apiserver.log",
            port=state.ports["apiserver"],
            deadline_s=90.0,
            after=("etcd",),
        ),
        Process(
            name="kube-controller-manager",
            argv=(str(state.bin / "kube-controller-manager"), *_controller_manager(state)),
            ready=_ready(state, "controller_manager", "healthz"),
            log=state.logs / "kube-controller-manager.log",
            port=state.ports["controller_manager"],
            after=("kube-apiserver",),
        ),
        Process(
            name="kube-scheduler",
            argv=(str(state.bin / "kube-scheduler"), *_client(state, "scheduler")),
            ready=_ready(state, "scheduler"),
            log=state.logs / "kube-scheduler.log",
            port=state.ports["scheduler"],
            after=("kube-apiserver",),
        ),
    ]


def _etcd(state: State, url: str) -> list[str]:
    peer_url = f"http://127.0.0.1:{state.ports['etcd_peer']}"
    return [
        "--name=sandbox",
        f"--data-dir={state.directory / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=sandbox={peer_url}",
        # A sandbox lives as long as its processes: nothing is lost that a power failure would not end anyway.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(state: State, etcd_url: str) -> list[str]:
    pki = state.pki
    configuration = state.directory / "control-plane"
    return [
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={state.ports['apiserver']}",
        f"--service-cluster-ip-range=10.{state.service_net}.0.0/16",
        # The endpoint of the service `kubernetes` would be 127.0.0.1, which the API refuses as an endpoint.
        "--endpoint-reconciler-type=none",
        "--authorization-mode=Node,RBAC",
        f"--enable-admission-plugins={','.join(_ADMISSION)}",
        "--allow-privileged=true",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        # A node's name resolves nowhere.
        "--kubelet-preferred-address-types=InternalIP",
        # Extension API servers are called by their service's address, which the kubelet forwards.
        "--enable-aggregator-routing=false",
        f"--egress-selector-config-file={configuration / 'egress.yaml'}",
        f"--authentication-token-webhook-config-file={configuration / 'token-webhook.yaml'}",
        "--authentication-token-webhook-version=v1",
        # Refusals are cached as well: a new access entry must count soon after it was made.
        "--authentication-token-webhook-cache-ttl=10s",
    ]


def _controller_manager(state: State) -> list[str]:
    return [
        *_client(state, "controller-manager"),
        f"--root-ca-file={state.pki / 'ca.crt'}",
        f"--service-account-private-key-file={state.pki / 'sa.key'}",
        "--use-service-account-credentials=true",
        f"--horizontal-pod-autoscaler-sync-period={state.hpa_sync}",
        # The default is a directory of the machine, which it would create.
        f"--flex-volume-plugin-dir={state.directory / 'control-plane' / 'volume-plugins'}",
    ]


def _client(state: State, name: str) -> list[str]:
    """Flags that the controller-manager and the scheduler share."""
    kubeconfig = state.directory / f"{name}.kubeconfig"
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={state.ports[name.replace('-', '_')]}",
        f"--tls-cert-file={state.pki / f'{name}.crt'}",
        f"--tls-private-key-file={state.pki / f'{name}.key'}",
        # There is one of each.
        "--leader-elect=false",
    ]


def _ready(state: State, port: str, path: str = "readyz") -> Callable[[], bool]:
    """Asks a component for its health, without credentials; raises OSError while it does not answer 200."""

    def ready() -> bool:
        trust = ssl.create_default_context(cafile=str(state.pki / "ca.crt"))
        # A proxy that the shell names is for other machines.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with opener.open(f"https://127.0.0.1:{state.ports[port]}/{path}", timeout=_TIMEOUT_S) as answer:
            return bool(answer.status == 200)

    return ready
