"""The sd_* variables against each other."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.plugin_utils.inventory import problems

RUNTIME = {"name": "any", "dynamic": True, "webui": {"image": "a:1"}, "agent": {"image": "b:1"}}
KEY = "k" * 20
MANY = [{"name": f"tenant-{number:02}", "tier": "free", "api_key": f"{KEY}{number}"} for number in range(80)]
GOOD = {"sd_name": "sd", "sd_region": "us-east-1", "sd_runtimes": [RUNTIME]}


def test_a_plain_inventory_is_fine():
    assert problems(GOOD) == []


def test_nothing_at_all():
    assert problems({}) == ["sd_name: is missing", "sd_region: is missing"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sd_name": "SD"}, 'sd_name: "SD" must begin with a letter'),
        ({"sd_name": 5}, "sd_name: must be text, not 5"),
        ({"sd_name": "s" * 33}, "at most 32 leave room for the bucket"),
        ({"sd_name": "sg"}, "sd_name: sg-… begins with sg-, which AWS allows in no name"),
        ({"sd_tenants": MANY}, "sd_tenants: 80 tenants take 4720 characters of the function's environment"),
        ({"sd_region": "moon"}, 'sd_region: "moon" is not a region such as us-west-2'),
        ({"sd_keep": ["model"]}, 'sd_keep: "model" is none of models, outputs; did you mean "models"?'),
        ({"sd_only": ["ani"]}, 'sd_only: there is no runtime "ani"; did you mean "any"?'),
        ({"sd_runtime_defaults": []}, "sd_runtime_defaults: must be a mapping"),
        ({"sd_tenants": [{"name": "a"}]}, "sd_tenants[0] (a).api_key: is missing"),
        ({"sd_tenants": [{"name": "default", "api_key": KEY}]}, "default is the name of those who have no key"),
        ({"sd_tenants": {"a": 1}}, "sd_tenants: must be a list"),
        ({"sd_tenants": [{"name": "a", "api_key": KEY}, {"name": "b", "api_key": KEY}]}, "have the same api_key"),
        ({"sd_subscribers": [{"name": "a", "protocol": "sms"}]}, 'sd_subscribers[0] (a).protocol: "sms" is none of'),
        ({"sd_subscribers": [{"name": "a"}, {"name": "a"}]}, 'sd_subscribers: the name "a" is given more than once'),
    ],
)
def test_one_mistake_is_one_sentence(given, expected):
    found = problems({**GOOD, **given})
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize("value", ["short-secret", 123456789, ["listed-secret"]])
def test_a_secret_never_appears(value):
    found = problems({**GOOD, "sd_tenants": [{"name": "a", "api_key": value}]})
    assert found == ["sd_tenants[0] (a).api_key: must be text of 20 to 128 characters"]
