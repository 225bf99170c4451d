# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: inventory_problems
short_description: List what is wrong with the C(sd_*) variables of an inventory
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Checks the variables each by itself and against each other, without any call to AWS.
  - Nothing is raised; an empty list means that all is well. Secrets never appear in the text.
options:
  _input:
    description:
      - The variables by name, such as C(sd_name), C(sd_region), C(sd_runtimes), C(sd_runtime_defaults), C(sd_tenants),
        C(sd_subscribers), C(sd_keep) and C(sd_only). A null value counts as not given.
    type: dict
    required: true
seealso:
  - plugin: stable_diffusion.eks.runtimes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop before anything is touched
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    settings: {sd_name: sd, sd_region: us-west-2, sd_runtimes: []}
    problems: "{{ settings | stable_diffusion.eks.inventory_problems }}"
"""

RETURN = r"""
_value:
  description: One sentence per problem, beginning with the variable and the entry.
  type: list
  elements: str
  sample:
    - 'sd_runtimes[0] (anime): unknown key "dynamc"; did you mean "dynamic"?'
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.plugin_utils.inventory import problems


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"inventory_problems": problems}
