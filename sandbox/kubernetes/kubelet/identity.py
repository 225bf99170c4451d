"""EKS Pod Identity: what its webhook puts into a pod whose service account has an association.

https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html. EKS does it when a pod is created, so that
the API shows it; here it is done when the pod starts on its node.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Identity", "inject"]

_VOLUME = "eks-pod-identity-token"
_MOUNT = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
_AUDIENCE = "pods.eks.amazonaws.com"
_LIFETIME_S = 86400
_SKIP = "eks.amazonaws.com/skip-containers"


class Identity:
    """The associations of the embedded EKS.

    Args:
        eks: a boto3 client of it.
    """

    def __init__(self, eks: Any) -> None:
        self._eks = eks

    async def associated(self, namespace: str, service_account: str) -> bool:
        """Whether a service account has a role.

        Raises:
            botocore.exceptions.ClientError, BotoCoreError: the embedded AWS does not answer.
        """
        return await asyncio.to_thread(self._associated, namespace, service_account)

    def _associated(self, namespace: str, service_account: str) -> bool:
        # A sandbox has one API server, so it has at most one cluster.
        for cluster in self._eks.list_clusters()["clusters"]:
            answer = self._eks.list_pod_identity_associations(
                clusterName=cluster, namespace=namespace, serviceAccount=service_account
            )
            if answer["associations"]:
                return True
        return False


def inject(spec: Json, annotations: Json, *, region: str, credentials_url: str) -> Json:
    """A pod spec with the token volume and the variables that lead SDKs to the role's credentials.

    Args:
        spec: the pod's.
        annotations: the pod's; `eks.amazonaws.com/skip-containers` names containers to leave alone.
        region: for AWS_REGION.
        credentials_url: of the credentials endpoint (on EKS the node agent's, http://169.254.170.23/v1/credentials).
    """
    changed = copy.deepcopy(spec)
    token = {"audience": _AUDIENCE, "expirationSeconds": _LIFETIME_S, "path": _VOLUME}
    source = {"projected": {"sources": [{"serviceAccountToken": token}]}}
    changed.setdefault("volumes", []).append({"name": _VOLUME, **source})
    skipped = {name.strip() for name in str(annotations.get(_SKIP, "")).split(",")}
    added = {
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": credentials_url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{_MOUNT}/{_VOLUME}",
    }
    for container in [*(changed.get("initContainers") or []), *changed["containers"]]:
        if container["name"] in skipped:
            continue
        present = {entry["name"] for entry in container.get("env") or []}
        container["env"] = [
            *(container.get("env") or []),
            *({"name": name, "value": value} for name, value in added.items() if name not in present),
        ]
        container.setdefault("volumeMounts", []).append({"name": _VOLUME, "mountPath": _MOUNT, "readOnly": True})
    return changed
