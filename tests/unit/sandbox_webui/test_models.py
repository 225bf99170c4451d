"""Checkpoints: titles, names, hashes, files that are missing or bad."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

V15 = "v1-5-pruned-emaonly"


async def test_the_title_changes_on_the_first_load(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    first, second = (await webui.get("sd-models"))[:2]
    digest = hashlib.sha256(f"{V15}.safetensors".encode()).hexdigest()
    assert first == {
        "title": f"{V15}.safetensors [{digest[:10]}]",
        "model_name": V15,
        "hash": digest[:10],
        "sha256": digest,
        "filename": f"/stable-diffusion-webui/models/Stable-diffusion/{V15}.safetensors",
        "config": None,
    }
    assert (second["title"], second["hash"], second["sha256"]) == ("dreamshaper_8.safetensors", None, None)
    await webui.post("txt2img", small(override_settings={"sd_model_checkpoint": "dreamshaper_8"}))
    second = (await webui.get("sd-models"))[1]
    assert second["title"] == f"dreamshaper_8.safetensors [{second['hash']}]"


@pytest.mark.parametrize("name", ["title", "bare", "model_name", "hash", "sha256"])
async def test_names_that_are_taken(webui: Any, small: Any, name: str) -> None:
    await webui.post("txt2img", small())
    await webui.post("options", {"sd_model_checkpoint": "dreamshaper_8"})
    item = (await webui.get("sd-models"))[0]
    alias = item["title"].partition(" ")[0] if name == "bare" else item[name]
    reply = await webui.post("txt2img", small(override_settings={"sd_model_checkpoint": alias}))
    assert webui.info(reply)["sd_model_name"] == V15
    assert await webui.post("options", {"sd_model_checkpoint": alias}) is None


async def test_equal_files_share_a_hash(webui: Any, small: Any) -> None:
    names = ("dreamshaper_8", "copy-of-dreamshaper")
    for name in names:
        await webui.post("options", {"sd_model_checkpoint": name})
    items = {item["model_name"]: item for item in await webui.get("sd-models")}
    assert items[names[0]]["hash"] == items[names[1]]["hash"]
    override = small(override_settings={"sd_model_checkpoint": items[names[0]]["hash"]})
    assert webui.info(await webui.post("txt2img", override))["sd_model_name"] == names[1]


async def test_no_checkpoint_on_disk(make: Any, small: Any) -> None:
    webui = await make(models=())
    assert await webui.get("sd-models") == []
    for _ignored in range(2):
        status, reply = await webui.call("txt2img", small())
        assert (status, reply["error"]) == (500, "FileNotFoundError")


async def test_real_files(make: Any, small: Any, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, content in (("b.safetensors", b"B"), ("a.ckpt", b"A"), ("sub/c.safetensors", b"B"), ("readme.txt", b"x")):
        (tmp_path / name).write_bytes(content)
    webui = await make("--ckpt-dir", str(tmp_path), models=None)
    await webui.post("txt2img", small())
    items = await webui.get("sd-models")
    assert [item["filename"] for item in items] == [
        str(tmp_path / name) for name in ("a.ckpt", "b.safetensors", "sub/c.safetensors")
    ]
    assert items[0]["sha256"] == hashlib.sha256(b"A").hexdigest()
    # A file that comes later needs a refresh; an empty one (a copy that has only begun) cannot be loaded.
    (tmp_path / "new.safetensors").write_bytes(b"N")
    (tmp_path / "empty.safetensors").touch()
    status, _ignored = await webui.call("options", {"sd_model_checkpoint": "new"})
    assert status == 500
    assert await webui.post("refresh-checkpoints") is None
    await webui.post("options", {"sd_model_checkpoint": "new"})
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == "new"
    status, reply = await webui.call("txt2img", small(override_settings={"sd_model_checkpoint": "empty"}))
    assert (status, reply["error"]) == (500, "SafetensorError")


async def test_the_models_directory(make: Any, small: Any, tmp_path: Path) -> None:
    webui = await make("--models-dir", str(tmp_path), models=None)
    assert await webui.get("sd-models") == []
    (tmp_path / "Stable-diffusion").mkdir()
    (tmp_path / "Stable-diffusion" / "a.safetensors").write_bytes(b"A")
    await webui.post("refresh-checkpoints")
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == "a"


async def test_the_model_that_is_loaded_at_start(make: Any, small: Any) -> None:
    webui = await make("--ckpt", "dreamshaper_8.safetensors")
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == "dreamshaper_8"


async def test_a_bad_first_model_keeps_nobody_from_the_others(make: Any, small: Any) -> None:
    webui = await make(models=("broken.safetensors", "good.safetensors"))
    status, reply = await webui.call("txt2img", small())
    assert (status, reply["error"]) == (500, "SafetensorError")
    assert await webui.post("options", {"sd_model_checkpoint": "good"}) is None
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == "good"


async def test_unload_and_reload(make: Any, small: Any) -> None:
    webui = await make(load_seconds=5.0)
    await webui.post("txt2img", small())
    used = (await webui.get("memory"))["cuda"]["system"]["used"]
    assert await webui.post("unload-checkpoint") == {}
    assert (await webui.get("memory"))["cuda"]["system"]["used"] < used
    assert webui.info(await webui.post("txt2img", small()))["sd_model_name"] == V15
    assert webui.pace.slept.count(5.0) == 2
    await webui.post("unload-checkpoint")
    assert await webui.post("reload-checkpoint") == {}
    assert webui.pace.slept.count(5.0) == 3


async def test_nan_check_disabled_gives_black(make: Any, small: Any) -> None:
    webui = await make("--disable-nan-check", "--no-half", "--some-new-flag")
    reply = await webui.post("txt2img", small(override_settings={"sd_model_checkpoint": "nan"}))
    assert webui.opened(reply["images"][0]).getextrema() == ((0, 0), (0, 0), (0, 0))


async def test_a_refiner_is_found_by_a_part_of_its_title(webui: Any, small: Any) -> None:
    assert (await webui.post("txt2img", small(refiner_checkpoint="dreamshaper")))["images"]
