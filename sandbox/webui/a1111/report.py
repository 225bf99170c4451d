"""What a run says of itself: the text inside each image, and the reply's `info`."""

from __future__ import annotations

import hashlib
from typing import Any

from sandbox.webui.a1111 import VERSION, infotext
from sandbox.webui.a1111.checkpoints import Checkpoint
from sandbox.webui.a1111.options import Options
from sandbox.webui.a1111.plan import Plan
from sandbox.webui.a1111.simulator import VAES

__all__ = ["Report"]


class Report:
    """One run's words; taken down before its overrides are put back."""

    def __init__(self, plan: Plan, model: Checkpoint, options: Options) -> None:
        """`model` is the checkpoint that really ran."""
        self._plan = plan
        self._model = model
        self._options = options
        name = options.get("sd_vae")
        self._vae = name if name in VAES else None
        self._vae_hash = hashlib.sha256(name.encode()).hexdigest()[:10] if name in VAES else None

    def text(self, number: int) -> str:
        """Generation parameters of one image."""
        plan, values, option = self._plan, self._plan.values, self._options.get
        clip_skip = option("CLIP_stop_at_last_layers")
        fields = {
            "Steps": values["steps"],
            "Sampler": plan.sampler,
            "Schedule type": plan.scheduler,
            "CFG scale": values["cfg_scale"],
            "Seed": plan.seeds[number],
            "Size": f"{values['width']}x{values['height']}",
            "Model hash": self._model.shorthash if option("add_model_hash_to_info") else None,
            "Model": self._model.model_name if option("add_model_name_to_info") else None,
            "VAE hash": self._vae_hash if option("add_vae_hash_to_info") else None,
            "VAE": self._vae if option("add_vae_name_to_info") else None,
            "Variation seed": plan.subseed + number if values["subseed_strength"] else None,
            "Variation seed strength": values["subseed_strength"] or None,
            "Denoising strength": values["denoising_strength"] if plan.from_image or plan.hires else None,
            "Clip skip": clip_skip if isinstance(clip_skip, int | float) and clip_skip > 1 else None,
            "Version": VERSION if option("add_version_to_infotext") else None,
        }
        return infotext.write(values["prompt"], values["negative_prompt"] or "", fields)

    def info(self, texts: list[str], first: int, timestamp: str) -> dict[str, Any]:
        """The reply's `info`; `first` is the index of the first image that is no grid."""
        plan, values = self._plan, self._plan.values
        count = len(plan.seeds)
        negative = values["negative_prompt"] or ""
        return {
            "prompt": values["prompt"],
            "all_prompts": [values["prompt"]] * count,
            "negative_prompt": negative,
            "all_negative_prompts": [negative] * count,
            "seed": plan.seeds[0],
            "all_seeds": plan.seeds,
            "subseed": plan.subseed,
            "all_subseeds": [plan.subseed + number for number in range(count)],
            "subseed_strength": values["subseed_strength"],
            "width": values["width"],
            "height": values["height"],
            "sampler_name": plan.sampler,
            "cfg_scale": values["cfg_scale"],
            "steps": values["steps"],
            "batch_size": values["batch_size"],
            "restore_faces": bool(values["restore_faces"]),
            "face_restoration_model": None,
            "sd_model_name": self._model.model_name,
            "sd_model_hash": self._model.shorthash,
            "sd_vae_name": self._vae,
            "sd_vae_hash": self._vae_hash,
            "seed_resize_from_w": values["seed_resize_from_w"],
            "seed_resize_from_h": values["seed_resize_from_h"],
            "denoising_strength": values["denoising_strength"],
            "extra_generation_params": {},
            "index_of_first_image": first,
            "infotexts": texts,
            "styles": values["styles"] or [],
            "job_timestamp": timestamp,
            "clip_skip": self._options.get("CLIP_stop_at_last_layers"),
            "is_using_inpainting_conditioning": False,
            "version": VERSION,
        }
