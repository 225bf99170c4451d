"""Certificates, keys and kubeconfigs of one sandbox's cluster; made anew by every start, in some 20 ms.

Who is who in Kubernetes' eyes follows https://kubernetes.io/docs/setup/best-practices/certificates/.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.state import State

__all__ = ["kubeconfig", "write"]

_VALID = datetime.timedelta(days=365)
# A clock that was put back must not make the certificates invalid.
_SKEW = datetime.timedelta(days=1)

# File name: (common name, organisation). All are signed by the cluster's CA for use as a client.
_CLIENTS = {
    "admin": ("sandbox-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
    # One process plays all nodes, so it cannot be one system:node:<name>.
    "kubelet": ("sandbox-kubelet", "system:masters"),
}
_WITH_KUBECONFIG = ("admin", "controller-manager", "scheduler", "kubelet")
# These listen too, on 127.0.0.1, and are asked for their health over TLS.
_SERVERS = ("controller-manager", "scheduler", "kubelet")


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def write(state: State) -> None:
    """Write everything that the control plane and the kubelet need to trust each other.

    In `state.pki`: ca, front-proxy-ca, apiserver, front-proxy-client, admin, controller-manager, scheduler, kubelet,
    apiserver-kubelet-client (each .crt and .key) and the service accounts' sa.key and sa.pub. Those of the
    controller-manager, the scheduler and the kubelet are for serving on 127.0.0.1 too.
    In the state directory: admin.kubeconfig, controller-manager.kubeconfig, scheduler.kubeconfig, kubelet.kubeconfig.

    Raises:
        OSError: the state directory cannot be written.
    """
    state.pki.mkdir(parents=True, exist_ok=True)
    state.pki.chmod(0o700)
    authority = _authority(state.pki, "ca", "sandbox-ca")
    front_proxy = _authority(state.pki, "front-proxy-ca", "sandbox-front-proxy-ca")
    _issue(state.pki, "apiserver", authority, "kube-apiserver", names=_apiserver_names(state))
    # The aggregator shows this one to extension API servers; kube-apiserver admits it by its name.
    _issue(state.pki, "front-proxy-client", front_proxy, "front-proxy-client")
    for name, (common_name, organisation) in _CLIENTS.items():
        serves = _loopback_names() if name in _SERVERS else ()
        _issue(state.pki, name, authority, common_name, organisation, names=serves)
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    _write(state.pki / "sa.key", _private(service_accounts))
    public = service_accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(state.pki / "sa.pub", public)
    for name in _WITH_KUBECONFIG:
        file = state.admin_kubeconfig if name == "admin" else state.directory / f"{name}.kubeconfig"
        _write(file, kubeconfig(state, name).encode())


def kubeconfig(state: State, name: str) -> str:
    """A kubeconfig with the certificates of that name from `state.pki` inside, so that it can be copied elsewhere."""

    def embedded(file: str) -> str:
        return base64.b64encode((state.pki / file).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "sandbox",
                "cluster": {"server": state.api_url, "certificate-authority-data": embedded("ca.crt")},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": embedded(f"{name}.crt"),
                    "client-key-data": embedded(f"{name}.key"),
                },
            }
        ],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": name}}],
        "current-context": "sandbox",
    }
    return str(yaml.safe_dump(config, sort_keys=False))


def _apiserver_names(state: State) -> list[x509.GeneralName]:
    service = f"{state.service_net}.0.1"
    hosts = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    return [
        *(x509.DNSName(host) for host in (*hosts, "kubernetes.default.svc.cluster.local")),
        # The service's address in the API, and the loopback address by which processes reach it.
        *(
            x509.IPAddress(ipaddress.ip_address(address))
            for address in ("127.0.0.1", f"10.{service}", f"127.{service}")
        ),
    ]


def _loopback_names() -> list[x509.GeneralName]:
    return [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def _authority(directory: Path, name: str, common_name: str) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(common_name)
    builder = (
        _builder(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write_pair(directory, name, certificate, key)
    return _Authority(certificate, key)


def _issue(
    directory: Path,
    name: str,
    authority: _Authority,
    common_name: str,
    organisation: str | None = None,
    names: Sequence[x509.GeneralName] = (),
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    # A certificate with names is for serving; only the API server's own is not a client's as well.
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH] if names else []
    if name != "apiserver":
        purposes.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    builder = (
        _builder(_subject(common_name, organisation), authority.certificate.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write_pair(directory, name, builder.sign(authority.key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(common_name: str, organisation: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The format that Kubernetes' own tools write for elliptic curves.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write_pair(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    _write(directory / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
    _write(directory / f"{name}.key", _private(key))


def _write(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, also if it was another one's to read before."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as target:
        os.fchmod(handle, 0o600)
        target.write(content)
