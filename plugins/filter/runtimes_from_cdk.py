# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: runtimes_from_cdk
short_description: Read the configuration of aws-samples/stable-diffusion-on-eks
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Gives the runtimes of that CDK project's C(config.yaml) as C(sd_runtimes), of both generations of its Helm chart,
    and says what could not be carried over.
  - Only what is written is carried over, not that project's defaults. Images stay where they are; its queue agent is
    another program than this collection's and is left out.
  - Check the result with P(stable_diffusion.eks.inventory_problems#filter), which refuses images without a tag and
    C(latest).
options:
  _input:
    description: The configuration, read from YAML.
    type: dict
    required: true
seealso:
  - plugin: stable_diffusion.eks.inventory_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write the runtimes of a configuration, and what is left to do by hand
  ansible.builtin.copy:
    content: |
      {% for line in carried.not_carried_over %}
      # {{ line }}
      {% endfor %}
      {{ {'sd_runtimes': carried.sd_runtimes} | to_nice_yaml }}
    dest: runtimes.yml
    mode: "0644"
  vars:
    carried: "{{ lookup('ansible.builtin.file', 'config.yaml') | from_yaml | stable_diffusion.eks.runtimes_from_cdk }}"
"""

RETURN = r"""
_value:
  description: The runtimes, and one sentence for each setting that has no place in them or needs a look.
  type: dict
  contains:
    sd_runtimes:
      description: Entries of C(sd_runtimes).
      type: list
      elements: dict
    not_carried_over:
      description: One sentence each, with the entry and the path.
      type: list
      elements: str
  sample:
    sd_runtimes:
      - {name: anime, models: [anime.safetensors], nodes: {instance_types: [g5.xlarge]}}
    not_carried_over:
      - 'config: stackName is not carried over: choose sd_name'
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.stable_diffusion.eks.plugins.plugin_utils import cdk


def runtimes_from_cdk(configuration: Any) -> dict[str, Any]:
    """The runtimes and what they leave out; AnsibleFilterError if the input is no such configuration."""
    try:
        runtimes, lost = cdk.runtimes_from_cdk(configuration)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return {"sd_runtimes": runtimes, "not_carried_over": lost}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"runtimes_from_cdk": runtimes_from_cdk}
