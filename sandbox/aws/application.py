"""Puts the embedded AWS of a sandbox together; settings.apply must have run in this process."""

from __future__ import annotations

from hypercorn.middleware import AsyncioWSGIMiddleware
from ministack import app as ministack_app
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from sandbox.aws import api_gateway, api_gateway_tags, demo_input, ecr, http_deliveries, pins, sns_filters, tracing
from sandbox.aws.asgi import Response, Scope
from sandbox.aws.ec2.capacity import Capacity
from sandbox.aws.ec2.install import install as install_ec2
from sandbox.aws.eks.install import install as install_eks
from sandbox.aws.events import EventInjector
from sandbox.aws.gateway import Gateway
from sandbox.aws.iam_mirror import IamMirror
from sandbox.state import State

__all__ = ["build"]

# Larger than any EC2 request; hypercorn's own default of 64 KiB refuses launch templates with user data.
_MOTO_BODY_LIMIT = 64 << 20


async def _health(scope: Scope, body: bytes) -> Response:
    return Response.json({"status": "ok"})


def build(state: State) -> Gateway:
    """The gateway of a sandbox, seeded and patched; once in a process.

    Raises:
        SandboxError: ministack or moto is not the one that the patches were written for.
    """
    pins.check()
    api_gateway.install()
    api_gateway_tags.install()
    ecr.install()
    http_deliveries.install()
    sns_filters.install(state.filter_delay_s)
    tracing.install()
    ministack = tracing.traced(ministack_app.app)
    moto = AsyncioWSGIMiddleware(DomainDispatcherApplication(create_backend_app), max_body_size=_MOTO_BODY_LIMIT)
    events = EventInjector(state.account, state.region)
    capacity = Capacity()
    eks_routes, reconcile_node_groups = install_eks(state, ministack)
    instance_events = install_ec2(state.account, state.region, capacity, events, reconcile_node_groups)
    return Gateway(
        ministack=ministack,
        moto=moto,
        routes={
            **eks_routes,
            "/_sandbox/health": _health,
            "/_sandbox/events": events.route,
            "/_sandbox/capacity": capacity.route,
            "/_sandbox/spot-interruption": instance_events.interrupt,
            "/_sandbox/input/": demo_input.route,
        },
        observers={"iam": IamMirror(moto, state.account)},
    )
