"""What comes back from a request that succeeds."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

INFO = [
    "prompt",
    "all_prompts",
    "negative_prompt",
    "all_negative_prompts",
    "seed",
    "all_seeds",
    "subseed",
    "all_subseeds",
    "subseed_strength",
    "width",
    "height",
    "sampler_name",
    "cfg_scale",
    "steps",
    "batch_size",
    "restore_faces",
    "face_restoration_model",
    "sd_model_name",
    "sd_model_hash",
    "sd_vae_name",
    "sd_vae_hash",
    "seed_resize_from_w",
    "seed_resize_from_h",
    "denoising_strength",
    "extra_generation_params",
    "index_of_first_image",
    "infotexts",
    "styles",
    "job_timestamp",
    "clip_skip",
    "is_using_inpainting_conditioning",
    "version",
]


async def test_txt2img(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(negative_prompt="cats, mice", cfg_scale=6))
    assert list(reply) == ["images", "parameters", "info"]
    image = webui.opened(reply["images"][0])
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 64))
    info = webui.info(reply)
    assert list(info) == INFO
    digest = hashlib.sha256(b"v1-5-pruned-emaonly.safetensors").hexdigest()[:10]
    assert (info["sd_model_name"], info["sd_model_hash"]) == ("v1-5-pruned-emaonly", digest)
    text = (
        "A dog\nNegative prompt: cats, mice\nSteps: 3, Sampler: Euler, Schedule type: Automatic, CFG scale: 6.0, "
        f"Seed: 7, Size: 64x64, Model hash: {digest}, Model: v1-5-pruned-emaonly, Version: v1.10.1"
    )
    assert info["infotexts"] == [text]
    assert image.info["parameters"] == text
    # The echo has every field, nulls included.
    assert reply["parameters"]["sampler_name"] is None
    assert reply["parameters"]["override_settings"] is None
    assert reply["parameters"]["steps"] == 3


async def test_replies_tell_their_length_and_time(webui: Any, small: Any) -> None:
    async with webui.client.post("/sdapi/v1/txt2img", json=small()) as response:
        assert int(response.headers["content-length"]) == len(await response.read())
        assert float(response.headers["x-process-time"]) >= 0


async def test_the_picture_follows_from_prompt_and_seed(webui: Any, small: Any) -> None:
    first = await webui.post("txt2img", small())
    again = await webui.post("txt2img", small())
    other_prompt = await webui.post("txt2img", small(prompt="A cat"))
    other_seed = await webui.post("txt2img", small(seed=8))
    assert first["images"] == again["images"]
    assert first["images"] != other_prompt["images"]
    assert first["images"] != other_seed["images"]


async def test_an_open_seed_is_drawn_by_lot(webui: Any, small: Any) -> None:
    seeds = {webui.info(await webui.post("txt2img", small(seed=seed)))["seed"] for seed in (-1, -1, None)}
    assert len(seeds) == 3
    assert min(seeds) >= 0


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ("euler", "DPM++ 2M"),
        ("k_euler", "DPM++ 2M"),
        ("nonsense", "DPM++ 2M"),
        ("Euler a", "Euler a"),
        ("DPM++ 2M Karras", "DPM++ 2M"),
        ("DPM++ 2M SDE Karras", "DPM++ 2M SDE"),
    ],
)
async def test_samplers(webui: Any, small: Any, asked: str, runs: str) -> None:
    reply = await webui.post("txt2img", small(sampler_name=asked))
    assert reply["parameters"]["sampler_name"] == asked
    assert webui.info(reply)["sampler_name"] == runs


async def test_an_unknown_scheduler_is_swallowed(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(scheduler="nope"))
    assert "Schedule type: Automatic" in webui.info(reply)["infotexts"][0]


async def test_an_odd_width_is_cut(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(width=65))
    assert webui.opened(reply["images"][0]).size == (64, 64)
    assert webui.info(reply)["width"] == 65


async def test_several_images(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(batch_size=2, n_iter=2))
    info = webui.info(reply)
    assert len(reply["images"]) == len(info["infotexts"]) == 4
    assert info["all_seeds"] == [7, 8, 9, 10]
    assert info["index_of_first_image"] == 0
    assert [webui.opened(image).info["parameters"] for image in reply["images"]] == info["infotexts"]
    assert len(set(reply["images"])) == 4


async def test_save_images_puts_a_grid_first(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(batch_size=3, save_images=True))
    info = webui.info(reply)
    assert len(reply["images"]) == len(info["infotexts"]) == 4
    assert info["index_of_first_image"] == 1
    assert webui.opened(reply["images"][0]).size == (128, 128)
    assert webui.opened(reply["images"][1]).size == (64, 64)


async def test_save_images_of_one_has_no_grid(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(save_images=True))
    assert len(reply["images"]) == 1
    assert webui.info(reply)["index_of_first_image"] == 0


@pytest.mark.parametrize("path", ["txt2img", "img2img"])
async def test_send_images_false(webui: Any, small: Any, path: str) -> None:
    body = small(send_images=False, init_images=[webui.encoded(Image.new("RGB", (64, 64)))])
    assert (await webui.post(path, body))["images"] == []


async def test_hires(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(enable_hr=True, hr_scale=1.5, hr_upscaler="Latent"))
    assert webui.opened(reply["images"][0]).size == (96, 96)


async def test_img2img_builds_on_its_image(webui: Any, small: Any) -> None:
    init = Image.new("RGB", (200, 100), (250, 20, 20))
    body = small(init_images=[webui.encoded(init, "JPEG")], width=128)
    reply = await webui.post("img2img", body)
    assert reply["parameters"]["init_images"] is None
    assert webui.info(reply)["denoising_strength"] == 0.75
    assert "Denoising strength: 0.75" in webui.info(reply)["infotexts"][0]
    image = webui.opened(reply["images"][0])
    assert image.size == (128, 64)
    plain = webui.opened((await webui.post("txt2img", small(width=128)))["images"][0])
    upper = (0, 0, 128, 30)
    red = [ImageStat.Stat(picture.crop(upper)).mean[0] for picture in (image, plain)]
    assert red[0] > red[1]
    untouched = webui.opened((await webui.post("img2img", {**body, "denoising_strength": 0}))["images"][0])
    strayed = ImageChops.difference(untouched.crop(upper), Image.new("RGB", (128, 30), (250, 20, 20)))
    assert max(ImageStat.Stat(strayed).mean) < 8


async def test_img2img_takes_a_data_address_and_can_echo_the_image(webui: Any, small: Any) -> None:
    text = "data:image/png;base64," + webui.encoded(Image.new("RGB", (64, 64)))
    reply = await webui.post("img2img", small(init_images=[text], include_init_images=True))
    assert reply["parameters"]["init_images"] == [text]


async def test_a_mask_keeps_the_rest(webui: Any, small: Any) -> None:
    init = Image.new("RGB", (64, 64), "white")
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    reply = await webui.post("img2img", small(init_images=[webui.encoded(init)], mask=webui.encoded(mask)))
    image = webui.opened(reply["images"][0])
    assert ImageStat.Stat(image.crop((36, 0, 64, 64))).mean == [255.0, 255.0, 255.0]
    assert ImageStat.Stat(image.crop((0, 0, 28, 64))).mean != [255.0, 255.0, 255.0]


async def test_transparency_is_filled(webui: Any, small: Any) -> None:
    init = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert (await webui.post("img2img", small(init_images=[webui.encoded(init)])))["images"]


async def test_extras(webui: Any) -> None:
    picture = Image.new("RGB", (20, 10), "blue")
    body = {"image": webui.encoded(picture), "upscaler_1": "R-ESRGAN 4x+", "upscaling_resize": 3}
    reply = await webui.post("extra-single-image", body)
    assert set(reply) == {"html_info", "image"}
    assert webui.opened(reply["image"]).size == (60, 30)
    same = await webui.post("extra-single-image", {"image": webui.encoded(picture)})
    assert webui.opened(same["image"]).tobytes() == picture.tobytes()
    exact = {**body, "resize_mode": 1, "upscaling_resize_w": 40, "upscaling_resize_h": 40}
    assert webui.opened((await webui.post("extra-single-image", exact))["image"]).size == (40, 40)


async def test_extras_have_no_bound(webui: Any) -> None:
    picture = webui.encoded(Image.new("RGB", (64, 64)))
    body = {"image": picture, "upscaler_1": "Nearest", "upscaling_resize": 100}
    reply = await webui.post("extra-single-image", body)
    assert webui.opened(reply["image"]).size == (6400, 6400)


async def test_extras_of_several(webui: Any) -> None:
    picture = webui.encoded(Image.new("RGB", (8, 8)))
    files = [{"data": picture, "name": "a"}, {"data": picture, "name": "b"}]
    reply = await webui.post("extra-batch-images", {"imageList": files, "upscaler_1": "Lanczos"})
    assert set(reply) == {"html_info", "images"}
    assert [webui.opened(image).size for image in reply["images"]] == [(16, 16)] * 2


@pytest.mark.parametrize(("kind", "opened"), [("jpg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
async def test_samples_format(webui: Any, small: Any, kind: str, opened: str) -> None:
    await webui.post("options", {"samples_format": kind})
    text = (await webui.post("txt2img", small()))["images"][0]
    assert webui.opened(text).format == opened
    picture = webui.encoded(Image.new("RGB", (8, 8)))
    assert webui.opened((await webui.post("extra-single-image", {"image": picture}))["image"]).format == opened
    # Whatever the format, the parameters travel in it.
    read = await webui.post("png-info", {"image": text})
    assert read["info"].startswith("A dog\nSteps: 3")
    assert read["parameters"]["Prompt"] == "A dog"
    assert (read["parameters"]["Size-1"], read["parameters"]["Seed"]) == ("64", "7")


async def test_an_unknown_samples_format(webui: Any, small: Any) -> None:
    await webui.post("options", {"samples_format": "bmp"})
    status, reply = await webui.call("txt2img", small())
    assert (status, reply["detail"]) == (500, "Invalid image format")


async def test_png_info_of_a_picture_without(webui: Any) -> None:
    read = await webui.post("png-info", {"image": webui.encoded(Image.new("RGB", (8, 8)))})
    assert read == {"info": "", "items": {}, "parameters": {}}


async def test_png_info_reads_what_needs_quotes(webui: Any, small: Any) -> None:
    reply = await webui.post("txt2img", small(prompt="Größe: 5, 犬\nsecond line", negative_prompt="x"))
    read = (await webui.post("png-info", {"image": reply["images"][0]}))["parameters"]
    assert read["Prompt"] == "Größe: 5, 犬\nsecond line"
    assert read["Negative prompt"] == "x"


async def test_what_there_is(webui: Any) -> None:
    assert {"name": "Euler", "aliases": ["k_euler"], "options": {}} in await webui.get("samplers")
    karras = next(item for item in await webui.get("schedulers") if item["name"] == "karras")
    assert karras == {
        "name": "karras",
        "label": "Karras",
        "aliases": None,
        "default_rho": 7.0,
        "need_inner_model": False,
    }
    assert [item["name"] for item in await webui.get("upscalers")][:3] == ["None", "Lanczos", "Nearest"]
    assert set((await webui.get("sd-vae"))[0]) == {"model_name", "filename"}
    assert (await webui.get("cmd-flags"))["nowebui"] is True
    memory = await webui.get("memory")
    assert memory["ram"]["total"] > memory["ram"]["free"] > 0
    assert memory["cuda"]["system"]["total"] == 24 * 2**30
    assert "x/y/z plot" in (await webui.get("scripts"))["txt2img"]
    for path in ("embeddings", "hypernetworks", "extensions", "prompt-styles", "script-info", "latent-upscale-modes"):
        await webui.get(path)


async def test_an_installed_script_is_taken(make: Any, small: Any) -> None:
    webui = await make(scripts=("ControlNet",))
    body = small(alwayson_scripts={"controlnet": {"args": [{"image": "x"}]}, "Seed": {}})
    assert (await webui.post("txt2img", body))["images"]
    status, reply = await webui.call("txt2img", small(alwayson_scripts={"controlnet": None}))
    assert (status, reply["error"]) == (500, "TypeError")
    status, reply = await webui.call("txt2img", small(alwayson_scripts={"X/Y/Z plot": {}}))
    assert (status, reply["detail"]) == (422, "Cannot have a selectable script in the always on scripts params")
