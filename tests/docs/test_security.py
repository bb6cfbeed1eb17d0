"""SECURITY.md names tests that are there, and leads where it says."""

import re

import pytest

from tests.processes import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


@pytest.mark.parametrize(("path", "test"), NAMED, ids=lambda value: value)
def test_named_test_exists(path, test):
    assert (ROOT / path).is_file()
    assert f"def {test}(" in (ROOT / path).read_text() if test else True


def test_every_row_but_the_last_names_a_test():
    section = PAGE.partition("## Who could do what")[2]
    rows = re.findall(r"^\| (?!who \||---)(.*) \|$", section, re.MULTILINE)
    assert len(rows) > 10
    assert all("`tests/" in row.rpartition(" | ")[2] for row in rows[:-1])


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)", PAGE)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/rotate-the-signing-key.md"])
def test_page_is_linked_from(page):
    assert "SECURITY.md)" in (ROOT / page).read_text()
