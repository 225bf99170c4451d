#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: lambda_package
short_description: Package Python source for AWS Lambda, always to the same bytes
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Writes a zip archive of chosen files and directories. The same source gives the same bytes on every machine,
    so that a function is only updated when its source has changed.
  - Bytecode caches are left out. Nothing is compressed.
options:
  source:
    description: The directory whose packages go into the archive.
    type: path
    required: true
  include:
    description: Files and directories to package, relative to O(source).
    type: list
    elements: str
    required: true
  dest:
    description: Where to write the archive. Its directory must exist.
    type: path
    required: true
attributes:
  check_mode:
    description: Nothing is written; digest, size and files are returned as they would be.
    support: full
  diff_mode:
    description: Shows the digest before and after.
    support: full
"""

EXAMPLES = r"""
- name: Package the Lambda behind the API
  stable_diffusion.eks.lambda_package:
    source: agent
    include:
      - sd_agent/__init__.py
      - sd_agent/contract
      - sd_agent/intake
    dest: build/intake.zip
"""

RETURN = r"""
dest:
  description: Where the archive is.
  returned: always
  type: str
  sample: build/intake.zip
sha256:
  description: SHA-256 of the archive, in hexadecimal digits.
  returned: always
  type: str
  sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
code_sha256:
  description: The same in the form in which Lambda tells it.
  returned: always
  type: str
  sample: LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564=
size:
  description: Bytes of the archive.
  returned: always
  type: int
  sample: 48211
files:
  description: What is in it.
  returned: always
  type: list
  elements: str
  sample: [sd_agent/__init__.py, sd_agent/intake/handler.py]
"""

import base64
import hashlib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import Failure
from ansible_collections.stable_diffusion.eks.plugins.module_utils.packages import archive, files


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "required": True},
            "include": {"type": "list", "elements": "str", "required": True},
            "dest": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    source, dest = Path(module.params["source"]), Path(module.params["dest"])
    try:
        names = files(source, module.params["include"])
        content = archive(source, names)
        before = hashlib.sha256(dest.read_bytes()).hexdigest() if dest.exists() else None
        digest = hashlib.sha256(content)
        changed = before != digest.hexdigest()
        if changed and not module.check_mode:
            dest.write_bytes(content)
    except (Failure, OSError) as error:
        module.fail_json(msg=f"could not package {source}: {error}")
    module.exit_json(
        changed=changed,
        diff={"before": {"sha256": before}, "after": {"sha256": digest.hexdigest()}},
        dest=str(dest),
        sha256=digest.hexdigest(),
        code_sha256=base64.b64encode(digest.digest()).decode(),
        size=len(content),
        files=names,
    )


if __name__ == "__main__":
    main()
