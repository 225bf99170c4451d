"""Small OCI images made in memory: a layer, a configuration, a manifest (github.com/opencontainers/image-spec)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["MANIFEST_TYPE", "Image", "digest", "image"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Image:
    """The blobs of an image and the manifest that names them."""

    blobs: Sequence[bytes]
    manifest: bytes


def digest(content: bytes) -> str:
    """A content address."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image(files: Mapping[str, bytes], entry_point: Sequence[str]) -> Image:
    """An image whose root file system holds these files; the same files give the same digests.

    Args:
        files: content by absolute path.
        entry_point: the command that the configuration names.
    """
    archive = _archive(files)
    layer = gzip.compress(archive, mtime=0)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": list(entry_point), "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [digest(archive)]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": _LAYER_TYPE, "digest": digest(layer), "size": len(layer)}],
    }
    return Image([config, layer], _json(manifest))


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(files[path]), 0o644
            tar.addfile(entry, io.BytesIO(files[path]))
    return buffer.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
