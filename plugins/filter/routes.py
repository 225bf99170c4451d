# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: routes
short_description: What routing has to know of the runtimes
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Keeps of each runtime what M(stable_diffusion.eks.queue_routing) takes - its name and which requests it serves.
options:
  _input:
    description: Runtimes as P(stable_diffusion.eks.runtimes#filter) gives them.
    type: list
    elements: dict
    required: true
seealso:
  - plugin: stable_diffusion.eks.runtimes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Make the queues
  stable_diffusion.eks.queue_routing:
    name: sd
    topic: sd-input
    runtimes: "{{ sd_runtimes | stable_diffusion.eks.runtimes('sd') | stable_diffusion.eks.routes }}"
"""

RETURN = r"""
_value:
  description: The same runtimes, only with C(name), C(models), C(dynamic), C(tier) and C(dialect).
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

KEYS = ("name", "models", "dynamic", "tier", "dialect")


def routes(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries with only the keys that say which requests they serve."""
    return [{key: entry[key] for key in KEYS if key in entry} for entry in entries]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"routes": routes}
