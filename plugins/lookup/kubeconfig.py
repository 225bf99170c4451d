# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeconfig
short_description: A kubeconfig for an EKS cluster, with a fresh token
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Gives the value for the parameter C(kubeconfig) of M(kubernetes.core.k8s), M(kubernetes.core.k8s_info) and
    M(kubernetes.core.helm), so that neither the aws command nor a file is needed.
  - The token is what C(aws eks get-token) makes, a pre-signed C(sts:GetCallerIdentity) that names the cluster.
    EKS takes it for 15 minutes. The lookup makes a new one each time it is evaluated, so put it in C(module_defaults)
    or in a variable, not in a fact.
  - Needs the action C(eks:DescribeCluster), and an access entry of the cluster for whoever calls.
options:
  _terms:
    description: Names of clusters.
    required: true
    type: list
    elements: str
extends_documentation_fragment:
  - amazon.aws.common.plugins
  - amazon.aws.region.plugins
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Reach the cluster from every Kubernetes task of a play
  hosts: localhost
  module_defaults:
    group/kubernetes.core.k8s:
      kubeconfig: "{{ lookup('stable_diffusion.eks.kubeconfig', 'sd', region='us-west-2') }}"
  tasks:
    - name: List the nodes
      kubernetes.core.k8s_info:
        kind: Node
"""

RETURN = r"""
_raw:
  description:
    - One kubeconfig per name. It leaves out C(apiVersion) and C(kind), which no reader needs - Ansible would mask
      such short words in everything that a task returns, as parts of a secret.
  type: list
  elements: dict
"""

import base64
import contextlib
from collections.abc import Mapping
from typing import Any

with contextlib.suppress(ImportError):  # require_aws_sdk says so
    import botocore.exceptions

from ansible_collections.amazon.aws.plugins.plugin_utils.lookup import AWSLookupBase

# As aws-iam-authenticator signs it; STS itself honours such a request for 15 minutes.
# https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
TOKEN_PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
URL_SECONDS = 60


def token(sts: Any, cluster: str) -> str:
    """A bearer token for the cluster, signed with the credentials of that STS client; no call is made."""

    def name_cluster(request: Any, **_kwargs: Any) -> None:
        request.headers[CLUSTER_HEADER] = cluster

    event = "before-sign.sts.GetCallerIdentity"
    sts.meta.events.register(event, name_cluster)
    try:
        url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=URL_SECONDS, HttpMethod="GET")
    finally:
        sts.meta.events.unregister(event, name_cluster)
    return TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def kubeconfig(cluster: Mapping[str, Any], bearer: str) -> dict[str, Any]:
    """The kubeconfig of a cluster as EKS describes it; its ARN is the name of everything in it."""
    name = cluster["arn"]
    server = {"server": cluster["endpoint"], "certificate-authority-data": cluster["certificateAuthority"]["data"]}
    return {
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": name, "user": {"token": bearer}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


class LookupModule(AWSLookupBase):
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        super().run(terms, variables, **kwargs)
        eks, sts = self.client("eks"), self.client("sts")
        return [kubeconfig(self._cluster(eks, name), token(sts, name)) for name in terms]

    def _cluster(self, eks: Any, name: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = eks.describe_cluster(name=name)["cluster"]
        except eks.exceptions.ResourceNotFoundException as error:
            self.fail_aws(f"There is no EKS cluster {name} in {self.region}", error)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            self.fail_aws(f"Could not look at the EKS cluster {name}", error)
        if not found.get("endpoint"):
            self.fail_aws(f"The EKS cluster {name} is {found.get('status')} and has no endpoint yet")
        return found
