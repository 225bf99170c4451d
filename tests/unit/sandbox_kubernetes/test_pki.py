from __future__ import annotations

import base64
import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.kubernetes import pki
from sandbox.state import State

KUBECONFIGS = ("admin", "controller-manager", "scheduler", "kubelet")


@pytest.fixture
def written(state: State) -> State:
    pki.write(state)
    return state


def certificate(state: State, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((state.pki / f"{name}.crt").read_bytes())


def organisations(found: x509.Certificate) -> list[str | bytes]:
    return [attribute.value for attribute in found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


@pytest.mark.parametrize(
    ("name", "authority"),
    [
        ("apiserver", "ca"),
        ("admin", "ca"),
        ("controller-manager", "ca"),
        ("scheduler", "ca"),
        ("kubelet", "ca"),
        ("apiserver-kubelet-client", "ca"),
        ("front-proxy-client", "front-proxy-ca"),
    ],
)
def test_every_certificate_is_signed_by_its_authority_and_fits_its_key(
    written: State, name: str, authority: str
) -> None:
    found = certificate(written, name)
    found.verify_directly_issued_by(certificate(written, authority))
    key = serialization.load_pem_private_key((written.pki / f"{name}.key").read_bytes(), password=None)
    assert key.public_key() == found.public_key()
    now = datetime.datetime.now(datetime.UTC)
    assert found.not_valid_before_utc < now < found.not_valid_after_utc - datetime.timedelta(days=300)


@pytest.mark.parametrize(
    ("name", "user", "groups"),
    [
        ("admin", "sandbox-admin", ["system:masters"]),
        ("controller-manager", "system:kube-controller-manager", []),
        ("scheduler", "system:kube-scheduler", []),
        ("kubelet", "sandbox-kubelet", ["system:masters"]),
        ("front-proxy-client", "front-proxy-client", []),
    ],
)
def test_who_a_client_is(written: State, name: str, user: str, groups: list[str]) -> None:
    found = certificate(written, name)
    assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == user
    assert organisations(found) == groups
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in purposes


def test_the_api_server_is_called_by_all_its_names(written: State) -> None:
    names = certificate(written, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = names.get_values_for_type(x509.DNSName)
    assert {"localhost", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"} <= set(hosts)
    # Slot 3 has the service network 10.77.0.0/16.
    addresses = ["127.0.0.1", "10.77.0.1", "127.77.0.1"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(address) for address in addresses]


def test_a_handshake_succeeds_with_what_a_kubeconfig_holds(written: State, tmp_path: Path) -> None:
    config = yaml.safe_load(written.admin_kubeconfig.read_text())
    files = {}
    for section, field in (
        ("cluster", "certificate-authority"),
        ("user", "client-certificate"),
        ("user", "client-key"),
    ):
        files[field] = tmp_path / field
        files[field].write_bytes(base64.b64decode(config[f"{section}s"][0][section][f"{field}-data"]))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(written.pki / "ca.crt"))
    serving.load_cert_chain(written.pki / "apiserver.crt", written.pki / "apiserver.key")
    serving.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=str(files["certificate-authority"]))
    asking.load_cert_chain(files["client-certificate"], files["client-key"])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = threading.Thread(target=lambda: serving.wrap_socket(theirs, server_side=True).close())
        server.start()
        with asking.wrap_socket(ours, server_hostname="127.0.0.1") as connection:
            assert connection.version() == "TLSv1.3"
        server.join()


@pytest.mark.parametrize("name", KUBECONFIGS)
def test_a_kubeconfig_names_the_api_server_and_its_user(written: State, name: str) -> None:
    file = written.directory / f"{name}.kubeconfig"
    config = yaml.safe_load(file.read_text())
    assert config["clusters"][0]["cluster"]["server"] == written.api_url
    context = next(entry["context"] for entry in config["contexts"] if entry["name"] == config["current-context"])
    assert context == {"cluster": config["clusters"][0]["name"], "user": name}
    embedded = base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
    assert embedded == (written.pki / f"{name}.crt").read_bytes()


def test_only_the_owner_reads_keys_and_kubeconfigs(written: State) -> None:
    secrets = [*written.pki.iterdir(), *(written.directory / f"{name}.kubeconfig" for name in KUBECONFIGS)]
    assert {file.stat().st_mode & 0o077 for file in (written.pki, *secrets)} == {0}


def test_service_account_keys_belong_together(written: State) -> None:
    private = serialization.load_pem_private_key((written.pki / "sa.key").read_bytes(), password=None)
    assert serialization.load_pem_public_key((written.pki / "sa.pub").read_bytes()) == private.public_key()


def test_a_new_start_trusts_nothing_of_the_one_before(written: State) -> None:
    before = certificate(written, "admin")
    pki.write(written)
    with pytest.raises(InvalidSignature):
        before.verify_directly_issued_by(certificate(written, "ca"))
