"""The filters' outsides; their rules are tested beside plugin_utils."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.stable_diffusion.eks.plugins.filter.directory_digest import directory_digest
from ansible_collections.stable_diffusion.eks.plugins.filter.runtimes import runtimes


def test_runtimes_raises_every_problem_on_a_line_of_its_own():
    with pytest.raises(AnsibleFilterError) as caught:
        runtimes([{"name": "one"}], "sd")
    assert str(caught.value).count("\n") == 2


def test_the_digest_follows_names_and_contents(tmp_path):
    (tmp_path / "templates").mkdir()
    first = tmp_path / "Chart.yaml"
    first.write_text("name: a")
    before = directory_digest(str(tmp_path))
    assert before == directory_digest(str(tmp_path))
    assert len(before) == 16
    first.rename(tmp_path / "templates" / "Chart.yaml")
    assert directory_digest(str(tmp_path)) != before
    (tmp_path / "templates" / "Chart.yaml").rename(first)
    first.write_text("name: b")
    assert directory_digest(str(tmp_path)) != before


def test_the_digest_needs_a_directory(tmp_path):
    with pytest.raises(AnsibleFilterError, match="is not a directory"):
        directory_digest(str(tmp_path / "nowhere"))
