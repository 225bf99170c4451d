"""The parts of a REST API and the plan between two of them."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import before_after
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.rest_api_layout import (
    OWNER_TAG,
    Settings,
    plan,
    wanted,
)

SECRET = "shop-key-0123456789012345"


def route(path, *methods):
    return {"path": path, "methods": methods or ("POST",), "api_key_required": True}


SETTINGS = Settings(
    name="sd",
    stage="prod",
    function_arn="arn:aws:lambda:us-east-1:123456789012:function:sd-intake",
    routes=[route("/v1alpha1"), route("/v1/tasks/{id}", "GET", "PUT")],
    responses={"THROTTLED": {"status_code": "429", "template": "{}"}},
    keys={"shop": SECRET},
    tags={"team": "images"},
)


def changes(current, settings):
    return plan(current, wanted(settings, current))


def lines(current, settings):
    return [str(change) for change in changes(current, settings)]


def test_from_nothing_to_everything_and_then_nothing_more():
    assert lines({}, SETTINGS) == [
        "create rest api sd",
        "create gateway response THROTTLED",
        "create resource /v1alpha1",
        "create resource /v1",
        "create resource /v1/tasks",
        "create resource /v1/tasks/{id}",
        "create route POST /v1alpha1",
        "create route GET /v1/tasks/{id}",
        "create route PUT /v1/tasks/{id}",
        "create stage prod",
        "create api key sd-shop",
        "create usage plan sd",
    ]
    assert lines(wanted(SETTINGS, {}), SETTINGS) == []


def test_what_goes_goes_before_the_deployment_and_children_before_parents():
    fewer = dataclasses.replace(SETTINGS, routes=[route("/v1alpha1")], responses={})
    assert lines(wanted(SETTINGS, {}), fewer) == [
        "delete route PUT /v1/tasks/{id}",
        "delete route GET /v1/tasks/{id}",
        "delete resource /v1/tasks/{id}",
        "delete resource /v1/tasks",
        "delete resource /v1",
        "delete gateway response THROTTLED",
        "update stage prod",
    ]


@pytest.mark.parametrize(
    "difference",
    [
        {"function_arn": "arn:aws:lambda:us-east-1:123456789012:function:other"},
        {"responses": {"THROTTLED": {"status_code": "429", "template": "{1}"}}},
        {"routes": [*SETTINGS.routes, route("/v1alpha2")]},
    ],
)
def test_what_a_deployment_holds_makes_a_new_one(difference):
    assert "update stage prod" in lines(wanted(SETTINGS, {}), dataclasses.replace(SETTINGS, **difference))


@pytest.mark.parametrize("difference", [{"rate_limit": 5.0, "burst_limit": 10}, {"description": "x"}, {"keys": {}}])
def test_what_no_deployment_holds_makes_none(difference):
    assert "update stage prod" not in lines(wanted(SETTINGS, {}), dataclasses.replace(SETTINGS, **difference))


def test_an_interrupted_run_is_deployed_by_the_next():
    current = wanted(SETTINGS, {})
    del current["stage", "prod"]
    assert lines(current, SETTINGS) == ["create stage prod"]


def test_a_key_with_another_value_comes_again_and_is_admitted_again():
    other = dataclasses.replace(SETTINGS, keys={"shop": "another-key-0123456789012345"})
    assert lines(wanted(SETTINGS, {}), other) == [
        "delete api key sd-shop",
        "create api key sd-shop",
        "update usage plan sd",
    ]


def test_no_key_is_ever_shown():
    every = changes({}, SETTINGS)
    assert SECRET not in json.dumps(before_after(every)) + "".join(map(str, every))


def test_without_keys_there_is_no_usage_plan():
    assert lines(wanted(SETTINGS, {}), dataclasses.replace(SETTINGS, keys={})) == [
        "delete usage plan sd",
        "delete api key sd-shop",
    ]


def test_absent_frees_the_stage_before_the_api_goes():
    assert [str(change) for change in plan(wanted(SETTINGS, {}), {})] == [
        "delete usage plan sd",
        "delete api key sd-shop",
        "delete rest api sd",
    ]


def test_keys_are_marked_as_the_apis_own():
    assert wanted(SETTINGS, {})["api key", "sd-shop"]["tags"] == {"team": "images", OWNER_TAG: "sd"}
    untagged = dataclasses.replace(SETTINGS, tags=None)
    assert wanted(untagged, {})["api key", "sd-shop"]["tags"] == {OWNER_TAG: "sd"}
    assert "tags" not in wanted(untagged, {})["rest api", "sd"]


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        ({"routes": [route("v1")]}, "route v1 must be a path of at least one part"),
        ({"routes": [route("/")]}, "route / must be a path"),
        ({"keys": {"shop": "short"}}, "the API key shop must have 20 to 128 characters"),
        ({"keys": {"shop": SECRET, "bar": SECRET}}, "the API keys shop and bar have the same value"),
    ],
)
def test_a_mistake_names_the_entry(difference, message):
    with pytest.raises(BadInput, match=message) as raised:
        wanted(dataclasses.replace(SETTINGS, **difference), {})
    assert SECRET not in str(raised.value)
