"""Puts the EKS of this package into ministack."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ministack.services import eks
from moto.backends import get_backend

from sandbox.aws.asgi import App
from sandbox.aws.eks.clusters import Clusters
from sandbox.aws.eks.extension import Extension
from sandbox.aws.eks.kubernetes import poster
from sandbox.aws.eks.node_groups import NodeGroups
from sandbox.aws.eks.pod_identity import PodIdentity
from sandbox.aws.eks.records import Records
from sandbox.aws.eks.token_review import TokenReview
from sandbox.aws.eks.updates import Updates
from sandbox.aws.gateway import Route
from sandbox.state import State

__all__ = ["install"]


def install(state: State, aws: App) -> tuple[Mapping[str, Route], Callable[[], None]]:
    """Replace ministack's EKS handler; once in a process.

    Returns:
        The routes that this package serves, and what to call when instances were terminated.
    """
    records = Records(state.account, state.region)
    ec2, ssm = (lambda name=name: get_backend(name)[state.account][state.region] for name in ("ec2", "ssm"))
    clusters = Clusters(
        records,
        endpoint=state.api_url,
        authority=state.pki / "ca.crt",
        service_cidr=f"10.{state.service_net}.0.0/16",
        ec2=ec2,
    )
    node_groups = NodeGroups(records, ec2=ec2, ssm=ssm)
    eks._handle_request_sync = Extension(eks._handle_request_sync, clusters, node_groups, Updates(records, node_groups))
    identity = PodIdentity(
        records, aws=aws, post=poster(state.api_url, state.pki), account=state.account, region=state.region
    )
    routes = {
        "/_sandbox/token-review": TokenReview(records, account=state.account, endpoint=state.aws_url).route,
        "/v1/credentials": identity.route,
    }
    return routes, node_groups.reconcile
