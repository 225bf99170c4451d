"""The fields of every request body, in the order in which `parameters` echoes them."""

from __future__ import annotations

from sandbox.webui.a1111.validation import (
    Field,
    between,
    boolean,
    floating,
    integer,
    listing,
    mapping,
    one_of,
    text,
)

__all__ = ["EXTRAS", "EXTRAS_BATCH", "EXTRAS_SINGLE", "FILE", "IMG2IMG", "PNG_INFO", "PROGRESS", "TXT2IMG"]

_BOTH = (
    Field("prompt", text, ""),
    Field("negative_prompt", text, ""),
    Field("styles", listing),
    Field("seed", integer, -1),
    Field("subseed", integer, -1),
    Field("subseed_strength", floating, 0.0),
    Field("seed_resize_from_h", integer, -1),
    Field("seed_resize_from_w", integer, -1),
    Field("sampler_name", text),
    Field("scheduler", text),
    Field("batch_size", integer, 1),
    Field("n_iter", integer, 1),
    Field("steps", integer, 50),
    Field("cfg_scale", floating, 7.0),
    Field("width", integer, 512),
    Field("height", integer, 512),
    Field("restore_faces", boolean),
    Field("tiling", boolean),
    Field("do_not_save_samples", boolean, False),
    Field("do_not_save_grid", boolean, False),
    Field("eta", floating),
    Field("denoising_strength", floating),
    Field("s_min_uncond", floating),
    Field("s_churn", floating),
    Field("s_tmax", floating),
    Field("s_tmin", floating),
    Field("s_noise", floating),
    Field("override_settings", mapping),
    Field("override_settings_restore_afterwards", boolean, True),
    Field("refiner_checkpoint", text),
    Field("refiner_switch_at", floating),
    Field("disable_extra_networks", boolean, False),
    Field("firstpass_image", text),
    Field("comments", mapping),
)
_LAST = (
    Field("force_task_id", text),
    Field("sampler_index", text, "Euler"),
    Field("script_name", text),
    Field("script_args", listing, []),
    Field("send_images", boolean, True),
    Field("save_images", boolean, False),
    Field("alwayson_scripts", mapping, {}),
    Field("infotext", text),
)

TXT2IMG = (
    *_BOTH,
    Field("enable_hr", boolean, False),
    Field("firstphase_width", integer, 0),
    Field("firstphase_height", integer, 0),
    Field("hr_scale", floating, 2.0),
    Field("hr_upscaler", text),
    Field("hr_second_pass_steps", integer, 0),
    Field("hr_resize_x", integer, 0),
    Field("hr_resize_y", integer, 0),
    Field("hr_checkpoint_name", text),
    Field("hr_sampler_name", text),
    Field("hr_scheduler", text),
    Field("hr_prompt", text, ""),
    Field("hr_negative_prompt", text, ""),
    *_LAST,
)

IMG2IMG = (
    *(field for field in _BOTH if field.name != "denoising_strength"),
    Field("init_images", listing),
    Field("resize_mode", integer, 0),
    Field("image_cfg_scale", floating),
    Field("mask", text),
    Field("mask_blur_x", integer, 4),
    Field("mask_blur_y", integer, 4),
    Field("mask_blur", integer),
    Field("mask_round", boolean, True),
    Field("inpainting_fill", integer, 0),
    Field("inpaint_full_res", boolean, True),
    Field("inpaint_full_res_padding", integer, 0),
    Field("inpainting_mask_invert", integer, 0),
    Field("initial_noise_multiplier", floating),
    Field("latent_mask", text),
    Field("denoising_strength", floating, 0.75),
    Field("include_init_images", boolean, False),
    *_LAST,
)

EXTRAS = (
    Field("resize_mode", one_of(0, 1), 0, nullable=False),
    Field("show_extras_results", boolean, True, nullable=False),
    Field("gfpgan_visibility", between(floating, ge=0, le=1), 0.0, nullable=False),
    Field("codeformer_visibility", between(floating, ge=0, le=1), 0.0, nullable=False),
    Field("codeformer_weight", between(floating, ge=0, le=1), 0.0, nullable=False),
    Field("upscaling_resize", between(floating, gt=0), 2.0, nullable=False),
    Field("upscaling_resize_w", between(integer, ge=1), 512, nullable=False),
    Field("upscaling_resize_h", between(integer, ge=1), 512, nullable=False),
    Field("upscaling_crop", boolean, True, nullable=False),
    Field("upscaler_1", text, "None", nullable=False),
    Field("upscaler_2", text, "None", nullable=False),
    Field("extras_upscaler_2_visibility", between(floating, ge=0, le=1), 0.0, nullable=False),
    Field("upscale_first", boolean, False, nullable=False),
)
EXTRAS_SINGLE = (*EXTRAS, Field("image", text, "", nullable=False))
EXTRAS_BATCH = (*EXTRAS, Field("imageList", listing, nullable=False, required=True))
FILE = (
    Field("data", text, nullable=False, required=True),
    Field("name", text, nullable=False, required=True),
)
PNG_INFO = (Field("image", text, "", nullable=False),)
PROGRESS = (Field("skip_current_image", boolean, False, nullable=False),)
