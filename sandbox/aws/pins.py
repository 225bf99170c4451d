"""Names inside ministack and moto that the sandbox uses or replaces: checked at start, for they are private."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Sequence

from sandbox.errors import SandboxError

__all__ = ["PINS", "check"]

# module:name, or module:name(parameter, …) where the sandbox passes or reads parameters by name.
PINS: Sequence[str] = (
    "ministack.app:app",
    "ministack.core.iam_evaluator:CredentialResolutionError",
    "ministack.core.iam_evaluator:resolve_credential(access_key_id, account_id, session_token)",
    "ministack.core.responses:set_request_account_id",
    "ministack.core.responses:set_request_region",
    "ministack.core.sigv4:build_canonical_request(payload_hash)",
    "ministack.core.sigv4:build_string_to_sign",
    "ministack.core.sigv4:calculate_signature",
    "ministack.core.sigv4:signatures_match",
    "ministack.services.apigateway_v1:_api_key_from_request",
    "ministack.services.apigateway_v1:_build_lambda_event_v1(resource, method, headers)",
    "ministack.services.apigateway_v1:_resolve_api_key",
    "ministack.services.apigateway_v1:_api_keys.get",
    "ministack.services.apigateway_v1:_get_v1_tags(resource_arn)",
    "ministack.services.apigateway_v1:_rest_apis.get",
    "ministack.services.apigateway_v1:_stages_v1.get",
    "ministack.services.apigateway_v1:_tag_v1_resource(resource_arn, data)",
    "ministack.services.apigateway_v1:_untag_v1_resource(resource_arn, tag_keys)",
    "ministack.services.apigateway_v1:_usage_plans.get",
    "ministack.services.apigateway_v1:_v1_response",
    "ministack.services.ecr:_describe_images",
    "ministack.services.ecr:_find_image",
    "ministack.services.eks:_access_entry_for_principal",
    "ministack.services.eks:_access_policy_associations",
    "ministack.services.eks:_addons.pop_scoped",
    "ministack.services.eks:_clusters.all_items",
    "ministack.services.eks:_clusters.get_scoped",
    "ministack.services.eks:_handle_request_sync(method, path, headers, body_bytes, query_params)",
    "ministack.services.eks:_nodegroups.get_scoped",
    "ministack.services.eks:_pod_identity_associations",
    "ministack.services.eventbridge:_put_events(allow_aws_source)",
    "ministack.services.iam:_instance_profiles.get_scoped",
    "ministack.services.iam:_roles.get_scoped",
    "ministack.services.sns:_deliver_to_http(endpoint, payload)",
    "ministack.services.sns:_deliver_to_sqs(endpoint, envelope, raw, raw_message, message_attributes, topic_arn)",
    "ministack.services.sns:_fanout(topic_arn, message_attributes)",
    "ministack.services.sns:_find_subscription(topic_arn, sub_arn)",
    "ministack.services.sns:_http_post_sync(endpoint, payload, sns_message_type)",
    "ministack.services.sns:_matches_filter_policy(sub, message_attributes)",
    "ministack.services.sns:_p(params, key)",
    "ministack.services.sns:_set_subscription_attributes(params)",
    "ministack.services.sns:_sub_arn_to_topic.get",
    "ministack.services.sns:_subscribe(params)",
    "ministack.services.sns:_topic_by_arn_any_scope(topic_arn)",
    "ministack.services.sqs:_ensure_msg_fields(m)",
    "moto.backends:get_backend",
    "moto.core.exceptions:ServiceException",
    "moto.core.responses:ActionResult",
    "moto.core.responses:BaseResponse.call_action",
    "moto.ec2.models.amis:Ami.block_device_mappings",
    "moto.ec2.models.instance_types:INSTANCE_TYPES",
    "moto.ec2.models.elastic_ip_addresses:ElasticAddressBackend.release_address(address, allocation_id)",
    "moto.ec2.models.instances:InstanceBackend.run_instances(image_id, count, user_data, security_group_names)",
    "moto.ec2.models.instances:InstanceBackend.start_instances(instance_ids)",
    "moto.ec2.models.instances:InstanceBackend.stop_instances(instance_ids)",
    "moto.ec2.models.instances:InstanceBackend.terminate_instances(instance_ids)",
    "moto.ec2.models.nat_gateways:NatGatewayBackend.delete_nat_gateway(nat_gateway_id)",
    "moto.ec2.models.security_groups:SecurityGroupBackend.delete_security_group(name, group_id)",
    "moto.ec2.models.subnets:SubnetBackend.delete_subnet(subnet_id)",
    "moto.ec2.models.vpcs:VPCBackend.delete_vpc(vpc_id)",
    "moto.ec2.responses:EC2Response.create_fleet",
    "moto.ec2.responses:EC2Response.describe_spot_price_history",
    "moto.ssm.models:Parameter",
)


def check(pins: Sequence[str] = PINS) -> None:
    """Look every name up.

    Raises:
        SandboxError: names that are missing or take other parameters, with the versions that are installed.
    """
    missing = [pin for pin in pins if not _fits(pin)]
    if missing:
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("ministack", "moto"))
        raise SandboxError(
            f"The sandbox does not know the installed {versions}: {'; '.join(missing)} not found as expected; "
            "install the pinned versions (requirements/dev.txt)."
        )


def _fits(pin: str) -> bool:
    path, _ignored, parameters = pin.rstrip(")").partition("(")
    module, _ignored, name = path.partition(":")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    wanted = {parameter.strip() for parameter in parameters.split(",") if parameter.strip()}
    return not wanted or wanted <= inspect.signature(found).parameters.keys()  # type: ignore[arg-type]
