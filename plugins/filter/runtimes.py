# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: runtimes
short_description: Fill in the defaults of C(sd_runtimes)
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Returns each runtime with every default filled in, so that roles and the chart never ask whether a key is there.
  - Fails with all problems in one message, each naming its entry.
positional: _input, sd_name
options:
  _input:
    description: The list C(sd_runtimes) as the inventory has it.
    type: list
    elements: dict
    required: true
  sd_name:
    description: The system's name; queues, roles and node pools are named after it.
    type: str
    required: true
  defaults:
    description: What is laid under each entry, C(sd_runtime_defaults).
    type: dict
    default: {}
seealso:
  - plugin: stable_diffusion.eks.inventory_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what the inventory means
  ansible.builtin.debug:
    msg: "{{ sd_runtimes | stable_diffusion.eks.runtimes(sd_name, defaults=sd_runtime_defaults) }}"
"""

RETURN = r"""
_value:
  description: The runtimes, complete. Keys that have neither a value nor a default (such as C(tier)) are left out.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.stable_diffusion.eks.plugins.plugin_utils import runtimes as rules


def runtimes(entries: Any, sd_name: str, defaults: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The complete entries, or AnsibleFilterError with every problem on a line of its own."""
    done, problems = rules.runtimes(entries, sd_name, defaults)
    if problems:
        raise AnsibleFilterError("\n".join(problems))
    return done


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"runtimes": runtimes}
