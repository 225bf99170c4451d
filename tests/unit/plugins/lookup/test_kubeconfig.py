"""The token is the one that EKS and aws-iam-authenticator know; the kubeconfig is what kubernetes.core reads."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from ansible_collections.stable_diffusion.eks.plugins.lookup.kubeconfig import kubeconfig, token

CLUSTER = {
    "arn": "arn:aws:eks:eu-west-1:123456789012:cluster/sd",
    "endpoint": "https://0.eks.example",
    "certificateAuthority": {"data": "Q0E="},
}


@pytest.fixture
def sts():
    return boto3.client("sts", region_name="eu-west-1", aws_access_key_id="AK", aws_secret_access_key="SK")


def decoded(bearer):
    assert bearer.startswith("k8s-aws-v1.")
    text = bearer.removeprefix("k8s-aws-v1.")
    assert "=" not in text
    return urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())


def test_the_url_is_regional_short_lived_and_signs_the_clusters_name(sts):
    url = decoded(token(sts, "sd"))
    query = parse_qs(url.query)
    assert (url.scheme, url.netloc) == ("https", "sts.eu-west-1.amazonaws.com")
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert query["X-Amz-Credential"][0].startswith("AK/")


def test_another_clusters_token_is_signed_differently(sts):
    first, second = (parse_qs(decoded(token(sts, name)).query) for name in ("sd", "other"))
    assert first["X-Amz-Signature"] != second["X-Amz-Signature"]


def test_the_client_is_left_as_it_was(sts):
    token(sts, "sd")
    plain = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    assert "x-k8s-aws-id" not in plain


def test_an_endpoint_of_ones_own_is_kept():
    sts = boto3.client(
        "sts", "us-east-1", endpoint_url="http://127.0.0.1:4566", aws_access_key_id="AK", aws_secret_access_key="SK"
    )
    assert decoded(token(sts, "sd")).netloc == "127.0.0.1:4566"


def test_kubernetes_client_reads_it():
    kubernetes = pytest.importorskip("kubernetes")
    client = kubernetes.config.new_client_from_config_dict(kubeconfig(CLUSTER, "k8s-aws-v1.abc"))
    assert client.configuration.host == CLUSTER["endpoint"]
    assert "Bearer k8s-aws-v1.abc" in client.configuration.api_key.values()


def test_no_short_word_is_in_it():
    # Ansible masks each text of a no_log value in whatever the task returns.
    def texts(value):
        if isinstance(value, dict):
            return [text for inner in value.values() for text in texts(inner)]
        return [text for inner in value for text in texts(inner)] if isinstance(value, list) else [value]

    assert (
        min(len(text) for text in texts(kubeconfig({**CLUSTER, "certificateAuthority": {"data": "x" * 99}}, "t" * 99)))
        > 15
    )
