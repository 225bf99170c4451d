"""Stand in for get-pip.py: install pip from the wheel beside this file (ansible-test passes install options)."""

from __future__ import annotations

import pathlib
import runpy
import sys

NOT_FOR_PIP = ("--no-setuptools", "--no-wheel")

wheel = next(pathlib.Path(__file__).parent.glob("pip-*.whl"))
sys.path.insert(0, str(wheel))
sys.argv[1:] = ["install", *(option for option in sys.argv[1:] if option not in NOT_FOR_PIP)]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
