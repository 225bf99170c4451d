"""Every odd status and error body of WEBUI.md's tables."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image


def _png(size: tuple[int, int] = (64, 64)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 50).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


PNG = base64.b64encode(_png()).decode()
TRUNCATED = base64.b64encode(_png()[: len(_png()) // 2]).decode()
NO_IMAGE = base64.b64encode(b"this is no image").decode()

INVALID = "Invalid encoded image"
LOCAL = "Request to local resource not allowed"

# path, fields, status, class, detail, start of errors
RAISED: list[tuple[str, dict[str, Any], int, str, str, str]] = [
    ("txt2img", {"override_settings": {"nosuchkey": 1}}, 500, "KeyError", "", "'nosuchkey'"),
    ("txt2img", {"override_settings": {"sd_model_checkpoint": "broken"}}, 500, "SafetensorError", "", "Error while"),
    (
        "txt2img",
        {"override_settings": {"sd_model_checkpoint": "nan.safetensors"}},
        500,
        "NansException",
        "",
        "A tensor with NaNs was produced in Unet.",
    ),
    ("txt2img", {"width": -64}, 500, "RuntimeError", "", "Calculated padded input size"),
    ("txt2img", {"width": 0}, 500, "RuntimeError", "", "cannot"),
    ("txt2img", {"width": 1}, 500, "RuntimeError", "", "cannot"),
    ("txt2img", {"height": 7}, 500, "RuntimeError", "", "cannot"),
    ("txt2img", {"width": 100_000, "height": 100_000}, 500, "OutOfMemoryError", "", "CUDA out of memory"),
    ("txt2img", {"n_iter": 1_000_000}, 500, "OutOfMemoryError", "", "CUDA out of memory"),
    ("txt2img", {"steps": 0}, 500, "ZeroDivisionError", "", "division by zero"),
    ("txt2img", {"steps": -1}, 500, "RuntimeError", "", ""),
    ("txt2img", {"batch_size": 0}, 500, "IndexError", "", "list index"),
    ("txt2img", {"n_iter": 0}, 500, "IndexError", "", "list index"),
    ("txt2img", {"cfg_scale": None}, 500, "TypeError", "", "unsupported operand"),
    ("txt2img", {"width": None}, 500, "TypeError", "", "unsupported operand"),
    ("txt2img", {"prompt": None}, 500, "AssertionError", "", ""),
    ("txt2img", {"script_name": "nope"}, 422, "HTTPException", "Script 'nope' not found", ""),
    (
        "txt2img",
        {"alwayson_scripts": {"controlnet": {"args": []}}},
        422,
        "HTTPException",
        "Script 'controlnet' not found",
        "",
    ),
    ("txt2img", {"alwayson_scripts": {"task": "text-to-image"}}, 422, "HTTPException", "Script 'task' not found", ""),
    ("txt2img", {"enable_hr": True, "hr_upscaler": "x"}, 500, "Exception", "", "could not find upscaler named x"),
    ("txt2img", {"refiner_checkpoint": "nope"}, 500, "Exception", "", "Could not find checkpoint with name nope"),
    ("img2img", {}, 404, "HTTPException", "Init image not found", ""),
    ("img2img", {"init_images": []}, 500, "RuntimeError", "", ""),
    ("img2img", {"init_images": [None]}, 500, "AttributeError", "", "'NoneType' object has no attribute"),
    ("img2img", {"init_images": [TRUNCATED]}, 500, "OSError", "", "image file is truncated"),
    ("img2img", {"init_images": ["!!!"]}, 500, "HTTPException", INVALID, ""),
    ("img2img", {"init_images": [NO_IMAGE]}, 500, "HTTPException", INVALID, ""),
    ("img2img", {"init_images": [PNG], "mask": "!!!"}, 500, "HTTPException", INVALID, ""),
    ("img2img", {"init_images": [PNG], "mask": NO_IMAGE}, 500, "HTTPException", INVALID, ""),
    ("img2img", {"init_images": ["http://127.0.0.1:1/x.png"]}, 500, "HTTPException", LOCAL, ""),
    ("img2img", {"init_images": ["http://localhost/x.png"]}, 500, "HTTPException", LOCAL, ""),
    ("img2img", {"init_images": ["http://10.1.2.3/x.png"]}, 500, "HTTPException", LOCAL, ""),
    ("img2img", {"init_images": ["https://www.example.org/x.png"]}, 500, "ConnectionError", "", ""),
    ("img2img", {"init_images": [PNG, PNG]}, 500, "RuntimeError", "", "bad number of images passed: 2"),
    ("extra-single-image", {}, 500, "HTTPException", INVALID, ""),
    ("extra-single-image", {"image": "!!!"}, 500, "HTTPException", INVALID, ""),
    ("extra-single-image", {"image": NO_IMAGE}, 500, "HTTPException", INVALID, ""),
    (
        "extra-single-image",
        {"image": PNG, "upscaler_1": "x"},
        500,
        "AssertionError",
        "",
        "could not find upscaler named x",
    ),
    (
        "extra-single-image",
        {"image": PNG, "upscaler_1": "Lanczos", "upscaling_resize": 100000},
        500,
        "OutOfMemoryError",
        "",
        "CUDA out of memory",
    ),
    ("extra-batch-images", {"imageList": [{"data": "!!!", "name": "a"}]}, 500, "HTTPException", INVALID, ""),
    ("png-info", {}, 500, "HTTPException", INVALID, ""),
    ("png-info", {"image": "!!!"}, 500, "HTTPException", INVALID, ""),
    ("png-info", {"image": NO_IMAGE}, 500, "HTTPException", INVALID, ""),
    ("options", {"nosuchkey": 1}, 500, "KeyError", "", "'nosuchkey'"),
    ("options", {"sd_model_checkpoint": "nope"}, 500, "RuntimeError", "", "model 'nope' not found"),
    ("options", {"sd_model_checkpoint": ""}, 500, "RuntimeError", "", "model '' not found"),
    ("options", {"sd_model_checkpoint": 5}, 500, "RuntimeError", "", "model 5 not found"),
    ("options", {"sd_model_checkpoint": "V1-5-pruned-emaonly"}, 500, "RuntimeError", "", "model 'V1-5-pruned-emaonly'"),
]


@pytest.mark.parametrize(
    ("path", "fields", "status", "error", "detail", "errors"),
    RAISED,
    ids=[f"{row[0]}-{str(row[1])[:50]}" for row in RAISED],
)
async def test_what_a_handler_raises(
    webui: Any, small: Any, path: str, fields: dict[str, Any], status: int, error: str, detail: str, errors: str
) -> None:
    body = small(**fields) if path.endswith("2img") else fields
    got, reply = await webui.call(path, body)
    assert (got, reply["error"], reply["detail"], reply["body"]) == (status, error, detail, "")
    assert reply["errors"].startswith(errors)
    assert set(reply) == {"error", "detail", "body", "errors"}
    if error in ("HTTPException", "AssertionError") and not errors:
        assert reply["errors"] == ""
    # The process stays, idle, and the next plain request works.
    assert (await webui.get("progress"))["state"]["job_count"] == 0
    assert len((await webui.post("txt2img", small()))["images"]) == 1


# path, fields, location, message, type
REFUSED: list[tuple[str, dict[str, Any], list[object], str, str]] = [
    ("txt2img", {"width": "abc"}, ["body", "width"], "value is not a valid integer", "type_error.integer"),
    ("txt2img", {"prompt": ["A dog"]}, ["body", "prompt"], "str type expected", "type_error.str"),
    ("txt2img", {"cfg_scale": {}}, ["body", "cfg_scale"], "value is not a valid float", "type_error.float"),
    (
        "txt2img",
        {"save_images": "maybe"},
        ["body", "save_images"],
        "value could not be parsed to a boolean",
        "type_error.bool",
    ),
    (
        "txt2img",
        {"override_settings": 5},
        ["body", "override_settings"],
        "value is not a valid dict",
        "type_error.dict",
    ),
    ("img2img", {"init_images": "x"}, ["body", "init_images"], "value is not a valid list", "type_error.list"),
    (
        "extra-single-image",
        {"image": PNG, "upscaling_resize": 0},
        ["body", "upscaling_resize"],
        "ensure this value is greater than 0",
        "value_error.number.not_gt",
    ),
    (
        "extra-single-image",
        {"image": PNG, "resize_mode": 2},
        ["body", "resize_mode"],
        "unexpected value; permitted: 0, 1",
        "value_error.const",
    ),
    ("extra-batch-images", {}, ["body", "imageList"], "field required", "value_error.missing"),
    (
        "extra-batch-images",
        {"imageList": [{"name": "a"}]},
        ["body", "imageList", 0, "data"],
        "field required",
        "value_error.missing",
    ),
]


@pytest.mark.parametrize(
    ("path", "fields", "location", "message", "kind"), REFUSED, ids=[f"{row[0]}-{str(row[1])[:40]}" for row in REFUSED]
)
async def test_what_validation_refuses(
    webui: Any, path: str, fields: dict[str, Any], location: list[object], message: str, kind: str
) -> None:
    status, reply = await webui.call(path, fields)
    assert status == 422
    assert list(reply) == ["detail"]
    assert [(fault["loc"], fault["msg"], fault["type"]) for fault in reply["detail"]] == [(location, message, kind)]


async def test_all_faults_are_named_at_once(webui: Any) -> None:
    _ignored, reply = await webui.call("txt2img", {"width": "a", "height": "b"})
    assert [fault["loc"][-1] for fault in reply["detail"]] == ["width", "height"]


@pytest.mark.parametrize(
    ("body", "kind", "location"),
    [
        (b"", "application/json", ["body"]),
        (b"no json", "application/json", ["body", 0]),
        (b"[1]", "application/json", ["body"]),
        (b"[]", "application/json", ["body"]),
        (b'"text"', "application/json", ["body"]),
        (b"null", "application/json", ["body"]),
        (b'{"prompt": "A dog"}', "text/plain", ["body"]),
    ],
)
async def test_bodies_that_are_no_objects(webui: Any, body: bytes, kind: str, location: list[object]) -> None:
    async with webui.client.post("/sdapi/v1/txt2img", data=body, headers={"Content-Type": kind}) as response:
        assert response.status == 422
        assert (await response.json())["detail"][0]["loc"] == location


async def test_a_body_that_is_not_even_text(webui: Any) -> None:
    async with webui.client.post(
        "/sdapi/v1/txt2img", data=b"\xff\xfe\xfa", headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 400
        assert (await response.json())["detail"] == "There was an error parsing the body"


async def test_a_body_without_a_content_type_is_taken(webui: Any) -> None:
    async with webui.client.post(
        "/sdapi/v1/txt2img", data=b'{"width": 64, "height": 64}', skip_auto_headers=["Content-Type"]
    ) as response:
        assert response.status == 200


async def test_a_chunked_body_is_taken(webui: Any) -> None:
    async def parts() -> Any:
        yield b'{"width": 64, '
        yield b'"height": 64}'

    async with webui.client.post(
        "/sdapi/v1/txt2img", data=parts(), headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/", 404, "Not Found"),
        ("GET", "/sdapi/v1/nothing", 404, "Not Found"),
        ("POST", "/internal/progress", 404, "Not Found"),
        ("GET", "/internal/pending-tasks", 404, "Not Found"),
        ("GET", "/sdapi/v1/txt2img", 405, "Method Not Allowed"),
        ("DELETE", "/sdapi/v1/options", 405, "Method Not Allowed"),
        ("HEAD", "/sdapi/v1/sd-models", 405, ""),
    ],
)
async def test_routing(webui: Any, method: str, path: str, status: int, detail: str) -> None:
    async with webui.client.request(method, path) as response:
        assert response.status == status
        if detail:
            assert await response.json() == {"detail": detail}


async def test_api_auth(make: Any) -> None:
    webui = await make("--api-auth", "user:secret,other:word")
    url = "/sdapi/v1/sd-models"
    for authorization, status in (
        (None, 401),
        ("user:wrong", 401),
        ("nobody:secret", 401),
        ("user:secret", 200),
        ("other:word", 200),
    ):
        headers = {}
        if authorization:
            headers["Authorization"] = "Basic " + base64.b64encode(authorization.encode()).decode()
        async with webui.client.get(url, headers=headers) as response:
            assert response.status == status
            if status == 401:
                assert response.headers["WWW-Authenticate"] == "Basic"
                body = await response.json()
                assert body["error"] == "HTTPException"
                assert body["detail"] in ("Not authenticated", "Incorrect username or password")
                assert (body["body"], body["errors"]) == ("", "")
    async with webui.client.get("/openapi.json") as response:
        assert response.status == 200
        assert "/sdapi/v1/txt2img" in (await response.json())["paths"]


@pytest.mark.parametrize("fields", [{"width": "64"}, {"width": 64.7}, {"prompt": 5}, {"nosuchfield": 1}])
async def test_what_is_taken_all_the_same(webui: Any, small: Any, fields: dict[str, Any]) -> None:
    reply = await webui.post("txt2img", small(**fields))
    assert reply["parameters"]["width"] == 64
    assert "nosuchfield" not in reply["parameters"]
    if "prompt" in fields:
        assert reply["parameters"]["prompt"] == "5"


async def test_a_lora_that_does_not_exist_is_ignored(webui: Any, small: Any) -> None:
    assert (await webui.post("txt2img", small(prompt="A dog <lora:missing:1>")))["images"]


async def test_infinity_is_no_json(webui: Any, small: Any) -> None:
    async with webui.client.post(
        "/sdapi/v1/txt2img",
        data=b'{"width": 64, "height": 64, "cfg_scale": Infinity}',
        headers={"Content-Type": "application/json"},
    ) as response:
        assert response.status == 500
        assert (await response.json())["error"] == "ValueError"
