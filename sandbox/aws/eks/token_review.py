"""The API server's token webhook: an AWS identity becomes a Kubernetes user by the cluster's access entries."""

from __future__ import annotations

import json
import logging
from typing import Any

from sandbox.aws.asgi import Response, Scope
from sandbox.aws.eks.records import Records
from sandbox.aws.eks.tokens import TokenError, caller_arn

__all__ = ["TokenReview"]

_log = logging.getLogger(__name__)

# Kubernetes' own group of those who may do everything; EKS grants the same by this access policy on the whole cluster.
_ADMIN_POLICY = "/AmazonEKSClusterAdminPolicy"
_ADMIN_GROUP = "system:masters"


class TokenReview:
    """Answers authentication.k8s.io/v1 TokenReviews for the one cluster of the sandbox."""

    def __init__(self, records: Records, *, account: str, endpoint: str) -> None:
        self._records = records
        self._account = account
        self._endpoint = endpoint

    async def route(self, scope: Scope, body: bytes) -> Response:
        """POST a TokenReview; the answer's status says who the caller is, or why nobody."""
        try:
            review = json.loads(body)
            token = str(review["spec"]["token"])
        except (ValueError, KeyError, TypeError) as error:
            return Response.json({"message": f"Send a TokenReview: {error!r}"}, 400)
        try:
            status: dict[str, Any] = {"authenticated": True, "user": self._user(token)}
        except TokenError as error:
            _log.info("Token refused: %s", error)
            status = {"authenticated": False, "error": str(error)}
        return Response.json({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})

    def _user(self, token: str) -> dict[str, Any]:
        cluster = next(iter(self._records.clusters()), None)
        if cluster is None:
            raise TokenError("there is no EKS cluster")
        arn = caller_arn(token, cluster["name"], account=self._account, endpoint=self._endpoint)
        entry = self._records.access_entry(cluster["name"], arn)
        if entry is None:
            raise TokenError(f"cluster {cluster['name']} has no access entry for {arn}")
        session = arn.rsplit("/", 1)[-1] if ":assumed-role/" in arn else ""
        groups = list(entry.get("kubernetesGroups") or [])
        policies = self._records.access_policies(cluster["name"], entry["principalArn"])
        if any(_is_admin(policy) for policy in policies):
            groups.append(_ADMIN_GROUP)
        username = (entry.get("username") or arn).replace("{{SessionName}}", session.replace("@", "-"))
        return {
            "username": username,
            "uid": f"aws-iam-authenticator:{self._account}:{arn}",
            "groups": groups,
            "extra": {"arn": [arn], "canonicalArn": [entry["principalArn"]], "sessionName": [session]},
        }


def _is_admin(policy: dict[str, Any]) -> bool:
    return str(policy["policyArn"]).endswith(_ADMIN_POLICY) and policy["accessScope"]["type"] == "cluster"
