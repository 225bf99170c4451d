"""The credentials endpoint of EKS Pod Identity: a pod's token in, credentials of the associated role out.

https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from sandbox.aws.asgi import App, Response, Scope, call, header, request
from sandbox.aws.eks.records import Record, Records

__all__ = ["AUDIENCE", "PodIdentity"]

AUDIENCE = "pods.eks.amazonaws.com"
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_TRUST_ACTIONS = ("sts:AssumeRole", "sts:TagSession")

# Sends a JSON document to a path of the Kubernetes API and returns the answer; raises OSError if that fails.
PostKubernetes = Callable[[str, dict[str, Any]], dict[str, Any]]


class PodIdentity:
    """What the EKS Pod Identity agent answers on /v1/credentials.

    Args:
        aws: the application that answers STS.
        post: reaches the Kubernetes API; it is called in a thread.
    """

    def __init__(self, records: Records, *, aws: App, post: PostKubernetes, account: str, region: str) -> None:
        self._records = records
        self._aws = aws
        self._post = post
        self._account = account
        self._region = region

    async def route(self, scope: Scope, body: bytes) -> Response:
        """GET with the pod's token as the Authorization header."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": header(scope, "authorization"), "audiences": [AUDIENCE]},
        }
        try:
            status = (await asyncio.to_thread(self._post, _REVIEWS, review))["status"]
        except OSError as error:
            return _error(500, "InternalServerException", f"The Kubernetes API does not answer: {error}")
        if not status.get("authenticated"):
            return _error(400, "InvalidTokenException", str(status.get("error") or "The token is not valid."))
        match = re.fullmatch(r"system:serviceaccount:([^:]+):([^:]+)", status["user"]["username"])
        if match is None:
            return _error(400, "InvalidTokenException", f"{status['user']['username']} is no service account.")
        namespace, service_account = match.groups()
        association = next(iter(self._records.associations(namespace, service_account)), None)
        if association is None:
            message = f"Service account {namespace}/{service_account} has no Pod Identity association."
            return _error(404, "ResourceNotFoundException", message)
        return await self._credentials(association)

    async def _credentials(self, association: Record) -> Response:
        role = self._records.role(association["roleArn"])
        if role is None or not _trusts_pods(role["AssumeRolePolicyDocument"]):
            message = f"Role {association['roleArn']} does not let {AUDIENCE} do {' and '.join(_TRUST_ACTIONS)}."
            return _error(400, "AccessDeniedException", message)
        answer = await call(self._aws, self._assume_role_scope(), urlencode(self._assume_role(association)).encode())
        if answer.status != 200:
            return _error(400, "AccessDeniedException", answer.body.decode("utf-8", "replace"))
        fields = {name: _field(answer.body, name) for name in ("AccessKeyId", "SecretAccessKey", "Expiration")}
        token = _field(answer.body, "SessionToken")
        return Response.json({**fields, "Token": token, "AccountId": self._account})

    def _assume_role_scope(self) -> Scope:
        credential = f"{self._account}/20260101/{self._region}/sts/aws4_request"
        headers = {
            "host": "localhost",
            "content-type": "application/x-www-form-urlencoded",
            "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0",
        }
        return request("POST", "/", headers)

    def _assume_role(self, association: Record) -> dict[str, str]:
        """The session tags are EKS's own: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html."""
        tags = {
            "eks-cluster-name": association["clusterName"],
            "kubernetes-namespace": association["namespace"],
            "kubernetes-service-account": association["serviceAccount"],
        }
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": association["roleArn"],
            "RoleSessionName": f"eks-{association['clusterName']}-{association['serviceAccount']}"[:64],
        }
        for number, (key, value) in enumerate(tags.items(), 1):
            form |= {f"Tags.member.{number}.Key": key, f"Tags.member.{number}.Value": value}
        return form


def _trusts_pods(document: str | dict[str, Any]) -> bool:
    """Whether a trust policy lets EKS Pod Identity assume the role and tag its session."""
    policy = json.loads(document) if isinstance(document, str) else document
    allowed: set[str] = set()
    for statement in _list(policy.get("Statement")):
        principal = statement.get("Principal")
        services = _list(principal.get("Service")) if isinstance(principal, dict) else []
        if statement.get("Effect") == "Allow" and AUDIENCE in services:
            allowed.update(_list(statement.get("Action")))
    return "sts:*" in allowed or allowed.issuperset(_TRUST_ACTIONS)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _field(document: bytes, name: str) -> str:
    match = re.search(rf"<{name}>([^<]*)<".encode(), document)
    return match.group(1).decode() if match else ""


def _error(status: int, code: str, message: str) -> Response:
    return Response.json({"code": code, "message": message}, status)
