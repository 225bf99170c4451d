"""A Helm chart's package: a compressed tar archive, the same bytes for the same files."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

__all__ = ["archive"]


def archive(name: str, files: Mapping[str, str]) -> bytes:
    """The package of a chart; every file lies below a directory with the chart's name."""
    target = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        # Helm reads Chart.yaml first if it comes first.
        for path in sorted(files, key=lambda path: (path != "Chart.yaml", path)):
            content = files[path].encode()
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()
