"""The reference says what the code does: every option, argument, check, status and link."""

import dataclasses
import re
from pathlib import Path

import pytest

from asgi_tasks import TaskRoute
from asgi_tasks.conf import BackendOptions
from asgi_tasks.exceptions import PushRefused
from asgi_tasks.execution import Outcome
from tests.processes import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def first_column(page):
    text = (ROOT / "docs" / "reference" / page).read_text()
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_settings_page_has_every_option():
    assert first_column("settings.md") == [
        *("project_id", "routes", "service_url", "push_service_account"),
        *(
            f.name
            for f in dataclasses.fields(BackendOptions)
            if f.default is not dataclasses.MISSING
        ),
    ]


def test_routes_page_has_every_argument():
    names = [f.name for f in dataclasses.fields(TaskRoute) if f.name != "_"]
    assert first_column("routes.md") == names


def test_checks_page_has_every_check():
    source = "".join(path.read_text() for path in (ROOT / "asgi_tasks").glob("*.py"))
    ids = set(re.findall(r"asgi_tasks\.[EW]\d{3}", source))
    assert sorted(first_column("checks.md")) == sorted(ids)


def test_answers_page_has_every_status():
    text = (ROOT / "docs" / "reference" / "answers.md").read_text()
    cells = re.findall(r"\| (\d{3}[\d ·]*) \|", text)
    refusals = {refusal.status for refusal in PushRefused.__subclasses__()}
    statuses = {outcome.status for outcome in Outcome} | refusals
    assert {int(status) for cell in cells for status in cell.split(" · ")} == statuses


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / Path(target)).exists()]
    assert missing == []
