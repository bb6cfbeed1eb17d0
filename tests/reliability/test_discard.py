"""Failures that are final: one delivery, acknowledged, and a WARNING line that tells of it."""

import uuid

import pytest

from tests.reliability.faults import faulty_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with faulty_site(tmp_path_factory.mktemp("discard")) as site:
        yield site


@pytest.mark.parametrize(
    ("how", "error"),
    [("raised", "Discard"), ("listed", "LookupError"), ("derived", "KeyError")],
)
@pytest.mark.parametrize("task", ["discard", "discard_sync"])
def test_final_failure_is_not_delivered_again(site, task, how, error):
    key = uuid.uuid4().hex
    task_id = site.enqueue(task, key=key, how=how)
    site.emulator.wait_until_settled()
    (message,) = site.emulator.messages(task_id=task_id)  # so none is a dead letter
    assert (message.state, [one.status for one in message.deliveries]) == ("acknowledged", [204])
    assert len(site.effects("began", key=key)) == 1
    assert [one["status"] for one in site.effects("finished", id=task_id)] == ["FAILED"]
    line = rf"WARNING Task {task} discarded in \d+ ms: id={task_id} message=\d+ attempt=1\n"
    site.process.wait_for(rf"{line}Traceback [^$]*?{error}: '?{key}")
    assert f"ERROR Task {task}" not in site.process.output
