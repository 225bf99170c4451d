"""Settings: POST /options, override_settings and what stays behind of them."""

from __future__ import annotations

from typing import Any

import pytest

V15 = "v1-5-pruned-emaonly.safetensors"
DREAM = "dreamshaper_8.safetensors"


async def test_all_settings_are_shown(webui: Any) -> None:
    options = await webui.get("options")
    assert options["samples_format"] == "png"
    assert options["CLIP_stop_at_last_layers"] == 1
    assert len(options) > 200


async def test_a_setting_is_set(webui: Any, small: Any) -> None:
    assert await webui.post("options", {"CLIP_stop_at_last_layers": 2}) is None
    assert (await webui.get("options"))["CLIP_stop_at_last_layers"] == 2
    reply = await webui.post("txt2img", small())
    assert webui.info(reply)["clip_skip"] == 2
    assert "Clip skip: 2" in webui.info(reply)["infotexts"][0]


async def test_what_the_api_may_not_set_is_ignored(webui: Any) -> None:
    assert await webui.post("options", {"api_forbid_local_requests": False}) is None
    assert (await webui.get("options"))["api_forbid_local_requests"] is True


async def test_an_override_leaks_on_a_fresh_install(webui: Any, small: Any) -> None:
    overrides = {"samples_format": "jpg", "CLIP_stop_at_last_layers": 2}
    reply = await webui.post("txt2img", small(override_settings=overrides))
    assert webui.opened(reply["images"][0]).format == "JPEG"
    later = await webui.post("txt2img", small())
    assert webui.opened(later["images"][0]).format == "JPEG"
    assert webui.info(later)["clip_skip"] == 2


async def test_an_override_of_a_set_key_is_put_back_before_the_reply(webui: Any, small: Any) -> None:
    # Posting a default is enough: from then on the key counts as set.
    await webui.post("options", {"samples_format": "png", "CLIP_stop_at_last_layers": 1})
    overrides = {"samples_format": "jpg", "CLIP_stop_at_last_layers": 2}
    reply = await webui.post("txt2img", small(override_settings=overrides))
    assert webui.info(reply)["clip_skip"] == 2
    assert webui.opened(reply["images"][0]).format == "PNG"
    assert webui.info(await webui.post("txt2img", small()))["clip_skip"] == 1


async def test_restoring_can_be_refused(webui: Any, small: Any) -> None:
    await webui.post("options", {"samples_format": "webp"})
    body = small(override_settings={"samples_format": "jpg"}, override_settings_restore_afterwards=False)
    await webui.post("txt2img", body)
    assert (await webui.get("options"))["samples_format"] == "jpg"


async def test_a_failing_task_puts_back_too(webui: Any, small: Any) -> None:
    await webui.post("options", {"samples_format": "webp"})
    status, _ignored = await webui.call("txt2img", small(steps=0, override_settings={"samples_format": "jpg"}))
    assert status == 500
    assert (await webui.get("options"))["samples_format"] == "webp"


async def test_directories_cannot_be_overridden(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small(override_settings={"outdir_samples": "/elsewhere"}))
    assert (await webui.get("options"))["outdir_samples"] == ""


@pytest.mark.parametrize("key", ["sd_vae", "sd_model_checkpoint"])
async def test_an_unknown_model_by_override_is_swallowed(webui: Any, small: Any, key: str) -> None:
    reply = await webui.post("txt2img", small(override_settings={key: "nope"}))
    info = webui.info(reply)
    assert info["sd_model_name"] == "v1-5-pruned-emaonly"
    assert info["sd_vae_name"] is None
    assert reply["parameters"]["override_settings"] == {key: "nope"}


async def test_a_known_vae(webui: Any, small: Any) -> None:
    name = (await webui.get("sd-vae"))[0]["model_name"]
    info = webui.info(await webui.post("txt2img", small(override_settings={"sd_vae": name})))
    assert info["sd_vae_name"] == name
    assert len(info["sd_vae_hash"]) == 10


async def test_a_switch_by_options(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    assert await webui.post("options", {"sd_model_checkpoint": "dreamshaper_8"}) is None
    options = await webui.get("options")
    # Loading rewrites the setting to the title.
    assert options["sd_model_checkpoint"] == f"{DREAM} [{options['sd_checkpoint_hash'][:10]}]"
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == "dreamshaper_8"
    # With no reload the setting keeps what was posted.
    await webui.post("options", {"sd_model_checkpoint": DREAM})
    assert (await webui.get("options"))["sd_model_checkpoint"] == DREAM


async def test_a_file_that_cannot_be_loaded_is_put_back_silently(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    before = await webui.get("options")
    assert await webui.post("options", {"sd_model_checkpoint": "broken"}) is None
    assert await webui.get("options") == before
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == "v1-5-pruned-emaonly"


async def test_null(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    assert await webui.post("options", {"sd_model_checkpoint": None}) is None
    assert (await webui.get("options"))["sd_model_checkpoint"] is None


async def test_a_restored_checkpoint_stays_in_memory(make: Any, small: Any) -> None:
    webui = await make(load_seconds=5.0)

    def loads() -> int:
        return int(webui.pace.slept.count(5.0))

    await webui.post("txt2img", small())
    old = await webui.get("options")
    assert loads() == 1
    override = small(override_settings={"sd_model_checkpoint": DREAM})
    assert webui.info(await webui.post("txt2img", override))["sd_model_name"] == "dreamshaper_8"
    assert loads() == 2
    new = await webui.get("options")
    assert new["sd_model_checkpoint"] == old["sd_model_checkpoint"]
    assert new["sd_checkpoint_hash"] != old["sd_checkpoint_hash"]
    # The same override again does not reload; the next plain request pays for the switch back.
    await webui.post("txt2img", override)
    assert loads() == 2
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == "v1-5-pruned-emaonly"
    assert loads() == 3


async def test_other_keys_before_an_unknown_one_are_set(webui: Any) -> None:
    status, _ignored = await webui.call("options", {"samples_format": "jpg", "nosuchkey": 1})
    assert status == 500
    assert (await webui.get("options"))["samples_format"] == "jpg"
