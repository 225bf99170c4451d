"""Simulator of SD WebUI's API (A1111 v1.10.1), oddities included: `python -m sandbox.webui.a1111 --api --nowebui`."""

from __future__ import annotations

__all__ = ["VERSION"]

# What the simulated program calls itself, in `info` and in every image.
VERSION = "v1.10.1"
