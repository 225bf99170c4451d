"""Samplers, schedulers and upscalers of v1.10.1, and how a name that is none of them is swallowed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LATENT_MODES", "SAMPLERS", "SCHEDULERS", "UPSCALERS", "Sampler", "Scheduler", "resolve"]


@dataclass(frozen=True)
class Sampler:
    """One entry of GET /samplers."""

    name: str
    aliases: tuple[str, ...]
    scheduler: str = ""

    def item(self) -> dict[str, object]:
        """The entry as the API shows it."""
        options = {"scheduler": self.scheduler} if self.scheduler else {}
        return {"name": self.name, "aliases": list(self.aliases), "options": options}


@dataclass(frozen=True)
class Scheduler:
    """One entry of GET /schedulers."""

    name: str
    label: str
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    need_inner_model: bool = False

    def item(self) -> dict[str, object]:
        """The entry as the API shows it."""
        return {
            "name": self.name,
            "label": self.label,
            "aliases": list(self.aliases) or None,
            "default_rho": self.default_rho,
            "need_inner_model": self.need_inner_model,
        }


# The first one runs in place of every name that is not exactly one of these.
SAMPLERS = (
    Sampler("DPM++ 2M", ("k_dpmpp_2m",), "karras"),
    Sampler("DPM++ SDE", ("k_dpmpp_sde",), "karras"),
    Sampler("DPM++ 2M SDE", ("k_dpmpp_2m_sde",), "exponential"),
    Sampler("DPM++ 2M SDE Heun", ("k_dpmpp_2m_sde_heun",), "exponential"),
    Sampler("DPM++ 2S a", ("k_dpmpp_2s_a",), "karras"),
    Sampler("DPM++ 3M SDE", ("k_dpmpp_3m_sde",), "exponential"),
    Sampler("Euler a", ("k_euler_a", "k_euler_ancestral")),
    Sampler("Euler", ("k_euler",)),
    Sampler("LMS", ("k_lms",)),
    Sampler("Heun", ("k_heun",)),
    Sampler("DPM2", ("k_dpm_2",), "karras"),
    Sampler("DPM2 a", ("k_dpm_2_a",), "karras"),
    Sampler("DPM fast", ("k_dpm_fast",)),
    Sampler("DPM adaptive", ("k_dpm_ad",)),
    Sampler("Restart", ("restart",), "karras"),
    Sampler("DDIM", ("ddim",)),
    Sampler("DDIM CFG++", ("ddim_cfgpp",)),
    Sampler("PLMS", ("plms",)),
    Sampler("UniPC", ("unipc",)),
    Sampler("LCM", ("k_lcm",)),
)
SCHEDULERS = (
    Scheduler("automatic", "Automatic"),
    Scheduler("uniform", "Uniform", need_inner_model=True),
    Scheduler("karras", "Karras", default_rho=7.0),
    Scheduler("exponential", "Exponential"),
    Scheduler("polyexponential", "Polyexponential", default_rho=1.0),
    Scheduler("sgm_uniform", "SGM Uniform", ("SGMUniform",), need_inner_model=True),
    Scheduler("kl_optimal", "KL Optimal"),
    Scheduler("align_your_steps", "Align Your Steps"),
    Scheduler("simple", "Simple", need_inner_model=True),
    Scheduler("normal", "Normal", need_inner_model=True),
    Scheduler("ddim", "DDIM", need_inner_model=True),
    Scheduler("beta", "Beta", need_inner_model=True),
)
UPSCALERS = (
    "None",
    "Lanczos",
    "Nearest",
    "DAT x2",
    "DAT x3",
    "DAT x4",
    "ESRGAN_4x",
    "LDSR",
    "R-ESRGAN 4x+",
    "R-ESRGAN 4x+ Anime6B",
    "ScuNET GAN",
    "ScuNET PSNR",
    "SwinIR 4x",
)
LATENT_MODES = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)

_SAMPLERS = {sampler.name: sampler for sampler in SAMPLERS}
_SCHEDULERS = {name: scheduler for scheduler in SCHEDULERS for name in (scheduler.name, scheduler.label)}


def resolve(sampler: str | None, scheduler: str | None) -> tuple[str, str]:
    """Names of the sampler and the scheduler that really run for what was asked.

    "DPM++ 2M Karras" is understood as sampler and scheduler; an alias, another case or a name that does not exist is
    not: the first sampler runs, with its own scheduler ("Automatic"). Nothing tells the caller but `info`.
    """
    name = sampler or SAMPLERS[0].name
    chosen = _SCHEDULERS.get(scheduler or "", SCHEDULERS[0])
    for candidate in SCHEDULERS:
        for ending in (candidate.label, candidate.name, *candidate.aliases):
            if name.endswith(" " + ending):
                chosen, name = candidate, name[: -len(ending) - 1]
                break
    found = _SAMPLERS.get(name, SAMPLERS[0])
    if found.scheduler == chosen.name:
        chosen = SCHEDULERS[0]
    return found.name, chosen.label
