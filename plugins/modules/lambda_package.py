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
  - The archive is named by its digest, so that several runs at a time never see each other's.
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
  directory:
    description: The directory that gets the archive; made if it is not there.
    type: path
    required: true
attributes:
  check_mode:
    description: Nothing is written; path, digest, size and files are returned as they would be.
    support: full
  diff_mode:
    description: Shows the path of an archive that was not there.
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
    directory: build/packages
"""

RETURN = r"""
dest:
  description: Where the archive is.
  returned: always
  type: str
  sample: build/packages/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae.zip
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
import os
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
            "directory": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    source, directory = Path(module.params["source"]), Path(module.params["directory"])
    try:
        names = files(source, module.params["include"])
        content = archive(source, names)
        digest = hashlib.sha256(content)
        dest = directory / f"{digest.hexdigest()}.zip"
        changed = not dest.exists()
        if changed and not module.check_mode:
            directory.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: another run may be looking for the same archive.
            unfinished = dest.with_suffix(f".{os.getpid()}")
            unfinished.write_bytes(content)
            unfinished.replace(dest)
    except (Failure, OSError) as error:
        module.fail_json(msg=f"could not package {source}: {error}")
    module.exit_json(
        changed=changed,
        diff={"before": {"archive": None}, "after": {"archive": str(dest)}} if changed else {},
        dest=str(dest),
        sha256=digest.hexdigest(),
        code_sha256=base64.b64encode(digest.digest()).decode(),
        size=len(content),
        files=names,
    )


if __name__ == "__main__":
    main()
