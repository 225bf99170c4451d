"""The request routes' bodies."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_agent.contract.errors import ErrorCode, InvalidRequest
from sd_agent.contract.jsonvalue import loads_object
from sd_agent.contract.requests import v1alpha1_receipt, v1alpha1_task, v1alpha2_receipt, v1alpha2_task
from sd_agent.contract.task import Dialect, TaskType

TEXT = {
    "alwayson_scripts": {
        "task": "text-to-image",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "id_task": "21123",
        "uid": "456",
        "save_dir": "outputs",
    },
    "prompt": "A dog",
    "steps": 30,
    "width": 768,
    "height": 768,
}
IMAGE = {
    "alwayson_scripts": {
        "task": "image-to-image",
        "image_link": "https://www.segmind.com/sd-img2img-input.jpeg",
        "id_task": "31311",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "uid": "456",
    },
    "prompt": "A fantasy landscape, trending on artstation, mystical sky",
    "steps": 16,
    "width": 512,
    "height": 512,
}
V2 = {
    "task": {
        "metadata": {
            "id": "t-1",
            "runtime": "sd15",
            "tasktype": "text-to-image",
            "prefix": "a/b",
            "context": {"user": 1},
        },
        "content": {"prompt": "A dog", "steps": 2},
    }
}


def header(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = copy.deepcopy(TEXT)
    body["alwayson_scripts"].update(changes)
    return {**body, "alwayson_scripts": {k: v for k, v in body["alwayson_scripts"].items() if v is not ...}}


def second(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = copy.deepcopy(V2)
    body["task"]["metadata"].update(changes)
    return body


def refused(body: Any, parse: Any = v1alpha1_task) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.message
    return caught.value


def test_the_text_to_image_reference_request() -> None:
    task = v1alpha1_task(TEXT)
    assert task.tasktype is TaskType.TEXT_TO_IMAGE
    assert (task.id, task.uid, task.prefix, task.tenant, task.runtime) == ("21123", "456", "outputs", "default", None)
    assert task.model == "v1-5-pruned-emaonly.safetensors"
    assert task.context == {"uid": "456"}
    assert task.content == {"prompt": "A dog", "steps": 30, "width": 768, "height": 768}
    assert task.location == "outputs/21123/"
    assert v1alpha1_receipt(task, "s3://bucket/outputs/21123/") == {
        "id_task": "21123",
        "task": "text-to-image",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "output_location": "s3://bucket/outputs/21123/",
    }


def test_the_image_to_image_reference_request() -> None:
    task = v1alpha1_task(IMAGE)
    assert task.tasktype is TaskType.IMAGE_TO_IMAGE
    assert task.prefix == "outputs"
    assert task.content["init_images"] == ["https://www.segmind.com/sd-img2img-input.jpeg"]
    assert "alwayson_scripts" not in task.content


def test_a_parsed_body_is_not_changed() -> None:
    body = header(
        override_settings={"CLIP_stop_at_last_layers": 2}, controlnet={"args": [{"image_link": "http://h/x"}]}
    )
    before = copy.deepcopy(body)
    v1alpha1_task(body)
    assert body == before


def test_several_links_become_several_images() -> None:
    body = copy.deepcopy(IMAGE)
    body["alwayson_scripts"]["image_link"] = "https://a/x,y.png, s3://b/c.png ,http://d"  # type: ignore[index]
    assert v1alpha1_task(body).content["init_images"] == ["https://a/x,y.png", "s3://b/c.png", "http://d"]


def test_extra_single_image_takes_its_link_as_image() -> None:
    task = v1alpha1_task(header(task="extra-single-image", image_link="https://a/x.png"))
    assert task.content["image"] == "https://a/x.png"
    error = refused(header(task="extra-single-image", image_link="https://a/x.png,https://b/y.png"))
    assert error.field == "alwayson_scripts.image_link"
    assert refused(header(task="extra-single-image")).field == "image"


def test_vae_and_settings_go_into_override_settings() -> None:
    body = header(sd_vae="x.vae.pt", override_settings={"a": 1, "b": 2})
    task = v1alpha1_task({**body, "override_settings": {"b": 1, "c": 3}})
    assert task.content["override_settings"] == {"b": 2, "c": 3, "sd_vae": "x.vae.pt", "a": 1}


def test_other_scripts_pass_and_controlnet_links_become_images() -> None:
    units = [{"image_link": "https://h/x.png", "module": "canny"}, {"image": "aGk="}, "kept"]
    task = v1alpha1_task(header(ADetailer={"args": [True]}, controlnet={"args": units}))
    assert task.content["alwayson_scripts"] == {
        "ADetailer": {"args": [True]},
        "controlnet": {"args": [{"image": "https://h/x.png", "module": "canny"}, {"image": "aGk="}, "kept"]},
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "alwayson_scripts"),
        ({"alwayson_scripts": None}, "alwayson_scripts"),
        ({"alwayson_scripts": []}, "alwayson_scripts"),
        (header(task=...), "alwayson_scripts.task"),
        (header(task="text-to-video"), "alwayson_scripts.task"),
        (header(task="extra-batch-images"), "alwayson_scripts.task"),
        (header(task={"a": 1}), "alwayson_scripts.task"),
        (header(id_task=...), "alwayson_scripts.id_task"),
        (header(id_task=""), "alwayson_scripts.id_task"),
        (header(id_task=21123), "alwayson_scripts.id_task"),
        (header(id_task="a/b"), "alwayson_scripts.id_task"),
        (header(id_task=".."), "alwayson_scripts.id_task"),
        (header(id_task="a\n"), "alwayson_scripts.id_task"),
        (header(id_task="x" * 129), "alwayson_scripts.id_task"),
        (header(sd_model_checkpoint=...), "alwayson_scripts.sd_model_checkpoint"),
        (header(sd_model_checkpoint=None), "alwayson_scripts.sd_model_checkpoint"),
        (header(sd_model_checkpoint="../x"), "alwayson_scripts.sd_model_checkpoint"),
        (header(sd_model_checkpoint="/etc/x"), "alwayson_scripts.sd_model_checkpoint"),
        (header(uid=456), "alwayson_scripts.uid"),
        (header(save_dir="a//b"), "alwayson_scripts.save_dir"),
        (header(save_dir="../up"), "alwayson_scripts.save_dir"),
        (header(save_dir="/abs"), "alwayson_scripts.save_dir"),
        (header(save_dir="a/"), "alwayson_scripts.save_dir"),
        (header(save_dir="_requests"), "alwayson_scripts.save_dir"),
        (header(save_dir=5), "alwayson_scripts.save_dir"),
        (header(image_link="https://h/x"), "alwayson_scripts.image_link"),
        (header(task="image-to-image", image_link=5), "alwayson_scripts.image_link"),
        (header(task="image-to-image", image_link="C:\\x.png"), "alwayson_scripts.image_link"),
        (header(task="image-to-image"), "init_images"),
        (header(sd_vae=5), "alwayson_scripts.sd_vae"),
        (header(override_settings="x"), "alwayson_scripts.override_settings"),
        (header(override_settings={"sd_model_checkpoint": "other.ckpt"}), "override_settings.sd_model_checkpoint"),
        (header(controlnet=5), "alwayson_scripts.controlnet"),
        (header(controlnet={"args": 5}), "alwayson_scripts.controlnet.args"),
        (header(controlnet={"args": [{"image_link": 5}]}), "alwayson_scripts.controlnet.args.0.image_link"),
        ({**TEXT, "prompt": None}, "prompt"),
        ({**TEXT, "prompt": ["a"]}, "prompt"),
        ({**TEXT, "sampler_name": 5}, "sampler_name"),
        ({**TEXT, "width": 65}, "width"),
        ({**TEXT, "width": -64}, "width"),
        ({**TEXT, "width": "64"}, "width"),
        ({**TEXT, "width": 64.0}, "width"),
        ({**TEXT, "width": True}, "width"),
        ({**TEXT, "width": None}, "width"),
        ({**TEXT, "height": 100_000}, "height"),
        ({**TEXT, "steps": 0}, "steps"),
        ({**TEXT, "batch_size": 0}, "batch_size"),
        ({**TEXT, "n_iter": 0}, "n_iter"),
        ({**TEXT, "batch_size": 10, "n_iter": 10}, "batch_size"),
        ({**TEXT, "cfg_scale": None}, "cfg_scale"),
        ({**TEXT, "denoising_strength": 1.5}, "denoising_strength"),
        ({**TEXT, "override_settings": []}, "override_settings"),
        ({**IMAGE, "init_images": ["x"]}, "alwayson_scripts.image_link"),
    ],
)
def test_a_v1alpha1_mistake_names_its_field(body: dict[str, Any], field: str) -> None:
    assert refused(body).field == field


def test_a_tenants_name_is_reserved_for_the_tenant() -> None:
    with pytest.raises(InvalidRequest):
        v1alpha1_task(header(save_dir="acme/x"), reserved={"acme"})
    assert v1alpha1_task(header(save_dir="acme/x"), tenant="acme").location == "acme/acme/x/21123/"


def test_the_v1alpha2_request() -> None:
    task = v1alpha2_task(V2, tenant="acme")
    assert (task.id, task.runtime, task.prefix, task.tenant) == ("t-1", "sd15", "a/b", "acme")
    assert task.context == {"user": 1}
    assert task.model is None
    assert task.location == "acme/a/b/t-1/"
    assert v1alpha2_receipt(task, "s3://x/", "sd15") == {"id": "t-1", "runtime": "sd15", "output_location": "s3://x/"}


def test_v1alpha2_finds_the_model_wherever_it_is_named() -> None:
    body = second()
    body["task"]["content"]["override_settings"] = {"sd_model_checkpoint": "x.safetensors [6ce0161689]"}
    task = v1alpha2_task(body)
    assert task.model == "x.safetensors [6ce0161689]"
    assert task.model_file == "x.safetensors"
    assert "override_settings" not in task.content
    assert v1alpha2_task(second(sd_model_checkpoint="y.ckpt")).model == "y.ckpt"


def test_a_pipeline_is_not_looked_into() -> None:
    body = second(tasktype="pipeline")
    body["task"]["content"] = {"3": {"class_type": "KSampler", "inputs": {"steps": 0}}}
    assert v1alpha2_task(body).content == body["task"]["content"]
    body["task"]["content"] = {}
    assert refused(body, v1alpha2_task).field == "task.content"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "task"),
        ({"task": 5}, "task"),
        ({"task": {}}, "task.metadata"),
        ({"task": {"metadata": {}}}, "task.metadata.id"),
        (second(id=None), "task.metadata.id"),
        (second(tasktype=None), "task.metadata.tasktype"),
        (second(tasktype=["pipeline"]), "task.metadata.tasktype"),
        (second(prefix="a//b"), "task.metadata.prefix"),
        (second(prefix=""), "task.metadata.prefix"),
        (second(runtime=""), "task.metadata.runtime"),
        (second(runtime={"exists": True}), "task.metadata.runtime"),
        (second(context="x" * 20_000), "task.metadata.context"),
        (second(dialect="sageMaker"), "task.metadata.dialect"),
        ({"task": {**V2["task"], "content": None}}, "task.content"),
        ({"task": {**V2["task"], "content": {"steps": 0}}}, "task.content.steps"),
        ({"task": {**V2["task"], "content": {"alwayson_scripts": 5}}}, "task.content.alwayson_scripts"),
    ],
)
def test_a_v1alpha2_mistake_names_its_field(body: dict[str, Any], field: str) -> None:
    assert refused(body, v1alpha2_task).field == field


def test_a_request_may_ask_for_a_dialect() -> None:
    assert v1alpha2_task(second(dialect="sagemaker")).dialect is Dialect.SAGEMAKER


def test_the_digest_tells_requests_apart() -> None:
    digests = {
        v1alpha1_task(TEXT).body_digest,
        v1alpha1_task(header(uid="457")).body_digest,
        v1alpha1_task({**TEXT, "prompt": "A cat"}).body_digest,
        v1alpha2_task(V2).body_digest,
        v1alpha2_task(second(runtime="other")).body_digest,
        v1alpha2_task(second(prefix="c")).body_digest,
    }
    assert len(digests) == 6
    assert v1alpha1_task(dict(reversed(TEXT.items()))).body_digest == v1alpha1_task(TEXT).body_digest
    # The tenant is part of the row's key, not of the request.
    assert v1alpha1_task(TEXT, tenant="acme").body_digest == v1alpha1_task(TEXT).body_digest


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
KEYS = [
    "alwayson_scripts", "task", "id_task", "sd_model_checkpoint", "uid", "save_dir", "image_link", "sd_vae", "args",
    "override_settings", "controlnet", "metadata", "content", "id", "tasktype", "prefix", "runtime", "context",
    "init_images", "image", "imageList", "data", "name", "prompt", "width", "steps", "dialect", "ControlNet", "mask",
]  # fmt: skip
TEXTS = ["text-to-image", "image-to-image", "extra-single-image", "extra-batch-images", "pipeline", "x", "http://h/i"]
near_misses = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats() | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)


def patched(body: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    holder = changed
    for key in path[:-1]:
        child = holder.get(key)
        if not isinstance(child, dict):
            child = holder[key] = {}
        holder = child
    holder[path[-1]] = value
    return changed


@given(
    base=st.sampled_from([TEXT, IMAGE, V2]),
    path=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4),
    value=values | near_misses,
)
def test_whatever_is_changed_gives_a_task_or_a_named_mistake(base: dict[str, Any], path: list[str], value: Any) -> None:
    body = patched(base, path, value)
    for parse in (v1alpha1_task, v1alpha2_task):
        try:
            task = parse(body)
        except InvalidRequest as error:
            assert error.message
        else:
            assert task.location.endswith(f"{task.id}/")
            assert ".." not in task.location
            assert "//" not in task.location


@given(near_misses)
def test_whatever_comes_gives_a_task_or_a_named_mistake(value: Any) -> None:
    body = value if isinstance(value, dict) else {"task": value, "alwayson_scripts": value}
    for parse in (v1alpha1_task, v1alpha2_task):
        try:
            parse(body)
        except InvalidRequest as error:
            assert error.message


@given(st.text() | st.binary())
def test_whatever_text_comes_is_an_object_or_a_named_mistake(text: str | bytes) -> None:
    try:
        assert isinstance(loads_object(text), dict)
    except InvalidRequest as error:
        assert error.message
