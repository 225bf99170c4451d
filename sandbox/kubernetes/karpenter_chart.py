"""Karpenter's two Helm charts as they stand in Karpenter's Go module, with the version that is in the module.

The module's Chart.yaml and image tag name the release before, with a digest, which would win over the tag: they are
written when a release is published, after the module's version is cut.
"""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.kubernetes.build_error import BuildError

__all__ = ["files"]

_CHANGES = {
    "Chart.yaml": ((r"^version: .*$", "version: {version}"), (r"^appVersion: .*$", "appVersion: {version}")),
    "values.yaml": ((r"^(    tag:) .*$", r"\1 {version}"), (r"^(    digest:) .*$", r'\1 ""')),
}
_WITHOUT_IMAGE = ("karpenter-crd",)


def files(module: Path, name: str, version: str) -> dict[str, str]:
    """The chart's files by their path in it.

    Args:
        module: directory of the Go module github.com/aws/karpenter-provider-aws.
        name: `karpenter` or `karpenter-crd`.
        version: of Karpenter and of the chart.

    Raises:
        BuildError: the module's chart is not what this was written for.
    """
    directory = module / "charts" / name
    try:
        found = {
            str(file.relative_to(directory)): file.read_text()
            for file in sorted(directory.rglob("*"))
            if file.is_file() and file.suffix != ".gotmpl"
        }
        for path, changes in _CHANGES.items():
            if path == "values.yaml" and name in _WITHOUT_IMAGE:
                continue
            for pattern, text in changes:
                found[path], count = re.subn(pattern, text.format(version=version), found[path], flags=re.MULTILINE)
                if count != 1:
                    raise BuildError(f"{directory / path} has {count} lines like {pattern!r}, 1 was expected.")
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise BuildError(f"Karpenter {version} has no chart {name} in {directory}: {error!r}.") from error
    return found
