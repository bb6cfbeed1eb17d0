"""docs/reference/telemetry.md and the how-tos say what the code does."""

import re

import pytest

from asgi_tasks.deliveries import Outcome
from tests.docs.pages import blocks
from tests.processes import ROOT
from tests.tooling.gcloud import FakeGcloud, find_sdk, lint

from .instruments import instruments

REFERENCE = (ROOT / "docs/reference/telemetry.md").read_text()
MONITORING = "how-to/watch-with-cloud-monitoring.md"


def rows(heading):
    """The cells of the table under a heading of the reference, row by row."""
    table = REFERENCE.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [re.split(r" *\| *", row)[1:-1] for row in table]


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_reference_has_every_metric_with_its_kind_and_unit():
    assert [row[:3] for row in rows("metric")] == [
        [f"`{name}`", kind, f"`{unit}`"] for kind, name, unit, _ in instruments_in_order()
    ]


def instruments_in_order():
    order = [quoted(row[0])[0] for row in rows("metric")]
    made = {name: (kind, name, unit, text) for kind, name, unit, text in instruments()}
    assert made.keys() == set(order)
    return [made[name] for name in order]


def test_reference_has_the_status_of_every_outcome():
    shown = {word: row[1] for row in rows("how a delivery ends") for word in quoted(row[0])}
    assert shown == {o.word: "error" if o.is_failure else "unset" for o in Outcome}


@pytest.fixture
def task_options():
    return {"routes": "tests.site.task_routes"}


async def test_reference_has_every_attribute_of_the_spans(spans, task_outbox, arun_enqueued):
    from tests.site.tasks import add, fail

    await add.aenqueue(1, 2)
    await fail.aenqueue()
    await arun_enqueued(raise_errors=False)
    with task_outbox.refusing(), pytest.raises(Exception, match="not published"):
        await add.aenqueue(1, 2)
    used = {"send": set(), "process": set()}
    for span in spans.ended:
        used[span.name.split()[0]] |= span.attributes.keys()
    shown = {
        name: {quoted(row[0])[0] for row in rows("attribute") if row[column] == "yes"}
        for column, name in ((1, "send"), (2, "process"))
    }
    assert shown == used


def test_page_shows_the_commands_of_the_script_and_no_others(tmp_path):
    printed = FakeGcloud(tmp_path).run("telemetry.sh", "--print").stdout.splitlines()
    consoles = [block for block in blocks(MONITORING) if block.kind == "console"]
    shown = [command for block in consoles for command, _ in block.commands]
    assert shown[1:] == printed


if find_sdk():

    def test_gcloud_itself_knows_every_command_of_the_script(tmp_path):
        printed = FakeGcloud(tmp_path).run("telemetry.sh", "--print").stdout.splitlines()
        assert lint([line[line.index("gcloud ") :] for line in printed], tmp_path) == []
