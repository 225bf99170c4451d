"""The command line of the real WebUI, as far as it matters here; other flags are taken and named in the log."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from sandbox.webui.a1111.errors import SettingsError

__all__ = ["credentials", "parse"]

log = logging.getLogger(__name__)

_TEXT = {
    "--server-name": None,
    "--api-auth": None,
    "--ckpt": None,
    "--ckpt-dir": None,
    "--vae-dir": None,
    "--data-dir": "/stable-diffusion-webui",
    "--models-dir": None,
    "--cors-allow-origins": None,
    "--device-id": None,
    "--loglevel": None,
    "--subpath": None,
    "--theme": None,
    "--gradio-auth": None,
}
_SWITCHES = (
    "--api",
    "--api-log",
    "--api-server-stop",
    "--nowebui",
    "--listen",
    "--skip-version-check",
    "--skip-torch-cuda-test",
    "--skip-python-version-check",
    "--skip-install",
    "--skip-prepare-environment",
    "--skip-load-model-at-start",
    "--no-half",
    "--no-half-vae",
    "--no-hashing",
    "--no-download-sd-model",
    "--do-not-download-clip",
    "--disable-nan-check",
    "--disable-safe-unpickle",
    "--disable-console-progressbars",
    "--enable-insecure-extension-access",
    "--medvram",
    "--medvram-sdxl",
    "--lowvram",
    "--lowram",
    "--xformers",
    "--opt-sdp-attention",
    "--opt-sdp-no-mem-attention",
    "--opt-channelslast",
    "--precision-full",
    "--upcast-sampling",
    "--freeze-settings",
    "--hide-ui-dir-config",
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Flags by their names in the WebUI (`--no-half` is `no_half`).

    Raises:
        SettingsError: a flag's value is missing or unusable.
    """
    parser = argparse.ArgumentParser(prog="launch.py", allow_abbrev=False, exit_on_error=False)
    for flag, default in _TEXT.items():
        parser.add_argument(flag, default=default)
    for flag in _SWITCHES:
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--port", type=int, default=None)
    parser.add_argument("--timeout-keep-alive", type=int, default=30)
    try:
        flags, unknown = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise SettingsError(f"The command line cannot be read: {error}.") from error
    if flags.api_auth:
        credentials(flags.api_auth)
    if unknown:
        log.info("flags taken and ignored: %s", " ".join(unknown))
    return flags


def credentials(api_auth: str | None) -> dict[str, str]:
    """User and password pairs of --api-auth (`user:password`, several separated by commas).

    Raises:
        SettingsError: an entry has no colon, or several.
    """
    pairs = {}
    for entry in (api_auth or "").split(",") if api_auth else ():
        user, colon, password = entry.partition(":")
        if not colon or ":" in password:
            raise SettingsError("--api-auth must be user:password, several separated by commas.")
        pairs[user] = password
    return pairs
