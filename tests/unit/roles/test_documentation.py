"""What a role's README, its argument_specs and its defaults say of its variables must agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[3] / "roles").iterdir() if (path / "tasks").is_dir())
# Lookups, which argument validation would evaluate once more than needed.
UNCHECKED = re.compile(r"_kubeconfig$")

pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def options(role: Path) -> dict[str, Any]:
    """Those of all entry points; the same name means the same everywhere."""
    points = loaded(role / "meta/argument_specs.yml")["argument_specs"].values()
    return {name: option for point in points for name, option in point["options"].items()}


def defaults(role: Path) -> dict[str, Any]:
    return loaded(role / "defaults/main.yml") or {}


def test_the_role_can_come_and_go(role: Path) -> None:
    for file in ("tasks/main.yml", "tasks/absent.yml", "meta/main.yml", "README.md"):
        assert (role / file).is_file(), file


def test_each_default_is_specified_and_the_same(role: Path) -> None:
    spec = options(role)
    for name, value in defaults(role).items():
        if UNCHECKED.search(name):
            continue
        assert name in spec, name
        # A default that is a template is told in words.
        if "{{" not in str(value):
            assert spec[name].get("default") == value, name
    assert {name for name, option in spec.items() if not option.get("required")} <= set(defaults(role))


def test_the_readme_lists_each_variable(role: Path) -> None:
    rows = re.findall(r"^\| (`.*?) \|", (role / "README.md").read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(options(role)) | set(defaults(role)) <= listed
