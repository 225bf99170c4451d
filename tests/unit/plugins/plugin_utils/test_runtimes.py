"""sd_runtimes: what silence means, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.plugin_utils.runtimes import runtimes

IMAGES = {"webui": {"image": "a1111:1.10.1"}, "agent": {"image": "queue-agent:0.1.0"}}


def entry(**keys):
    return {
        "name": "anime",
        **IMAGES,
        **({} if {"dynamic", "tier", "models"} & set(keys) else {"dynamic": True}),
        **keys,
    }


def problems(*entries, sd_name="sd"):
    return runtimes(list(entries), sd_name)[1]


def test_silence_means_the_defaults():
    done, wrong = runtimes([entry(models=["a.safetensors"])], "sd")
    assert wrong == []
    assert done[0]["namespace"] == "sd"
    assert done[0]["models"] == ["a.safetensors"]
    assert done[0]["dynamic"] is False
    assert done[0]["webui"]["kind"] == "a1111"
    assert done[0]["scaling"] == {
        "queue_length": 10,
        "cooldown_period": 60,
        "polling_interval": 1,
        "min_replicas": 0,
        "max_replicas": 10,
    }
    assert done[0]["nodes"]["capacity_types"] == ["spot", "on-demand"]
    assert done[0]["nodes"]["data_volume"]["size"] == "80Gi"
    # No nulls: helm would drop them from the release's values, and every run would see a difference.
    assert "tier" not in done[0] and "snapshot_id" not in done[0]["nodes"]["data_volume"]


def test_defaults_lie_under_each_entry():
    defaults = {"agent": {"image": "queue-agent:0.1.0", "env": {"A": "1"}}, "scaling": {"cooldown_period": 5}}
    given = {"name": "one", "dynamic": True, "webui": {"image": "a1111:1"}, "scaling": {"max_replicas": 3}}
    done, wrong = runtimes([given], "sd", defaults)
    assert wrong == []
    assert done[0]["agent"]["env"] == {"A": "1"}
    assert (done[0]["scaling"]["cooldown_period"], done[0]["scaling"]["max_replicas"]) == (5, 3)


def test_the_defaults_are_not_shared_between_entries():
    done, _wrong = runtimes([entry(name="one"), entry(name="two", tier="paid", dynamic=False)], "sd")
    done[0]["webui"]["args"].append("--medvram")
    assert done[1]["webui"]["args"] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dynamc": True}, ['sd_runtimes[0] (anime): unknown key "dynamc"', 'did you mean "dynamic"?']),
        ({"scaling": {"queue_lenght": 1}}, ["(anime).scaling: unknown key", 'did you mean "queue_length"?']),
        ({"models": "a.safetensors"}, ["(anime).models: must be a list of texts, not 'a.safetensors'"]),
        ({"dynamic": "yes"}, ["(anime).dynamic: must be true or false, not 'yes'"]),
        ({"timeout": True}, ["(anime).timeout: must be a whole number, not True"]),
        ({"webui": "a1111"}, ["(anime).webui: must be a mapping"]),
        ({"webui": {"image": "a1111:1", "kind": "comfyu"}}, ["(anime).webui.kind", 'did you mean "comfyui"?']),
        ({"webui": {}}, ["(anime).webui.image: is missing"]),
        ({"webui": {"image": "a1111"}}, ["(anime).webui.image", "has no tag"]),
        ({"webui": {"image": "host:5000/a1111"}}, ["has no tag"]),
        ({"agent": {"image": "queue-agent:latest"}}, ["(anime).agent.image", "latest"]),
        ({"agent": {"image": "queue-agent@sha256:12"}}, ["malformed digest"]),
        ({"agent": {"image": "a:1", "env": {"SD": True}}}, ["(anime).agent.env: SD must be text"]),
        ({"agent": {"image": "a:1", "env": {"1A": "x"}}}, ["is not a name for an environment variable"]),
        ({"name": "Anime"}, ["(Anime).name", "lower-case"]),
        ({"name": "-anime"}, ["lower-case letters, digits and inner hyphens"]),
        ({"name": "n" * 64}, ["n" * 64, "is too long"]),
        ({"name": "n" * 54}, ["its helm release", "54 characters of 53"]),
        ({"name": "unrouted"}, ["sd-unrouted is the name of something else"]),
        ({"name": "anime-dlq"}, ["something else"]),
        ({"models": ["a.safetensors"], "dynamic": True}, ["has models and dynamic", "exactly one"]),
        ({"dynamic": False}, ["says neither models nor dynamic nor tier"]),
        ({"models": []}, ["says neither"]),
        ({"models": ["x.safetensors [abc123]"]}, ["is not a plain file name"]),
        ({"models": ["../x.safetensors"]}, ["is not a plain file name"]),
        ({"models": ["x.safetensors", "x.safetensors"]}, ['"x.safetensors" is listed more than once']),
        ({"scaling": {"min_replicas": 3, "max_replicas": 2}}, ["min_replicas 3 is more than max_replicas 2"]),
        ({"scaling": {"max_replicas": 0}}, ["(anime).scaling.max_replicas: 0 is less than 1"]),
        ({"nodes": {"capacity_types": ["spott"]}}, ["capacity_types", 'did you mean "spot"?']),
        ({"nodes": {"instance_types": []}}, ["instance_types: is empty"]),
        ({"nodes": {"data_volume": {"iops": 3000}}}, ["needs at least 4000 iops on gp3, not 3000"]),
        ({"nodes": {"data_volume": {"size": "80"}}}, ["is not a size such as 80Gi"]),
        ({"nodes": {"data_volume": {"snapshot_id": "vol-1"}}}, ["is not a snapshot's id"]),
    ],
)
def test_a_mistake_is_named_with_its_entry(given, words):
    text = "\n".join(problems(entry(**given)))
    for word in words:
        assert word in text
    assert len(text.splitlines()) == 1, text


def test_the_limit_of_a_name_counts_the_prefix():
    # IAM: 64 characters, sd- and -agent among them.
    assert problems(entry(name="n" * 53), sd_name="sd") == []
    assert "IAM role" in problems(entry(name="n" * 53), sd_name="sdxyz")[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([entry(name="one", models=["a"]), entry(name="one", models=["b"])], ['the name "one"']),
        ([entry(name="first"), entry(name="second")], ["only one", "first and second"]),
        ([entry(name="first", tier="paid"), entry(name="second", tier="paid")], ['the tier "paid"']),
        ([entry(name="first", models=["m"]), entry(name="second", models=["m"])], ['"m"', "first, second"]),
    ],
)
def test_two_entries_that_contradict_each_other(given, words):
    wrong = problems(*given)
    assert len(wrong) == 1
    for word in words:
        assert word in wrong[0]


def test_all_problems_come_at_once():
    wrong = problems(entry(name="One", dynamc=True), entry(name="two", webui={"image": "x"}), "three")
    assert len(wrong) >= 4
    assert any("sd_runtimes[2]" in problem for problem in wrong)


@pytest.mark.parametrize("value", [{"name": "one"}, "one", None, 3])
def test_something_else_than_a_list(value):
    assert runtimes(value, "sd") == ([], ["sd_runtimes: must be a list of runtimes"])
