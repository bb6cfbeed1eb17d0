"""The reference says what the code does: every option, argument, check, status and link."""

import argparse
import dataclasses
import re
from pathlib import Path

import pytest
from google.pubsub_v1 import types

from asgi_tasks import TaskRoute
from asgi_tasks.conf import BackendOptions
from asgi_tasks.deliveries import Outcome
from asgi_tasks.emulator import cli
from asgi_tasks.emulator.api.calls import CALLS
from asgi_tasks.emulator.broker.faults import Fault, Kind
from asgi_tasks.exceptions import PushRefused
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


def emulator_table(heading):
    """The words in backquotes, or the names of calls, in the first column below a heading."""
    text = (ROOT / "docs" / "reference" / "emulator.md").read_text()
    section = re.split(rf"^#+ {heading}$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^#", section, maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"[\w.-]+", cell)}


def test_emulator_page_has_every_option():
    parser = argparse.ArgumentParser(add_help=False)
    cli.add_arguments(parser)
    options = {action.option_strings[0] for action in parser._actions}
    assert emulator_table("Options") - {"option", "---"} == options


def test_emulator_page_has_every_fault():
    names = {field.name for field in dataclasses.fields(Fault)} - {"kind"}
    assert emulator_table("Faults") - {"kind", "name", "---"} == {*Kind, *names}


def test_emulator_page_has_every_call_it_knows():
    assert {call.name for call in CALLS} <= emulator_table("Calls")


@pytest.mark.parametrize(
    ("heading", "message"),
    [
        ("Fields of a topic", types.Topic.pb()),
        ("Fields of a subscription", types.Subscription.pb()),
        ("Fields of a subscription", types.PushConfig.pb()),
    ],
    ids=["topic", "subscription", "push_config"],
)
def test_emulator_page_has_every_field(heading, message):
    described = {word.removeprefix("push_config.") for word in emulator_table(heading)}
    fields = {field.name for field in message.DESCRIPTOR.fields} - {"push_config"}
    # Google's own service sets this one, for its marketplace.
    assert fields - described <= {"analytics_hub_subscription_info"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / Path(target)).exists()]
    assert missing == []
