# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: directory_digest
short_description: One digest over all files of a directory
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - A SHA-256 over the relative names and the contents of all files below a directory, in the order of their names.
  - Put among a chart's values, it makes an edited template a change of the release, which M(kubernetes.core.helm)
    otherwise sees only in the chart's version.
options:
  _input:
    description: Path of a directory on the controller.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Tell a chart's state
  ansible.builtin.debug:
    msg: "{{ (role_path ~ '/files/chart') | stable_diffusion.eks.directory_digest }}"
"""

RETURN = r"""
_value:
  description: The first 16 hexadecimal digits of the digest.
  type: str
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError


def directory_digest(path: str) -> str:
    """The digest; AnsibleFilterError if there is no such directory."""
    root = Path(path)
    if not root.is_dir():
        raise AnsibleFilterError(f"{path} is not a directory")
    whole = hashlib.sha256()
    for file in sorted(found for found in root.rglob("*") if found.is_file()):
        for part in (str(file.relative_to(root)).encode(), file.read_bytes()):
            # The length before each part keeps a name's end apart from a content's beginning.
            whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:16]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"directory_digest": directory_digest}
