"""The lines of a site whose LOGGING is cloud_logging(), as Cloud Logging would read them."""

import json
import re
from collections import Counter

import pytest

from tests.pushes import push, push_body


@pytest.fixture(scope="module")
def site(start_site, emulator, tmp_path_factory):
    with start_site(emulator, tmp_path_factory.mktemp("logs"), TESTS_LOGGING="cloud") as site:
        yield site


def lines(site, **fields):
    """Every line of the process so far, those of asgi_tasks with these fields."""
    found = [json.loads(text) for text in site.process.output.splitlines()]
    return [line for line in found if fields.items() <= line.items()]


def way(site, task_id):
    """What the log tells of a task. A push may overtake the answer that confirms its enqueue."""
    told = [line.get("outcome") or line["message"] for line in lines(site, task_id=task_id)]
    return sorted(told, key="enqueued".__ne__)


def settled(site, task, **kwargs):
    task_id = site.enqueue(task, **kwargs)
    site.emulator.wait_until_settled()
    site.wait_until(lambda: len(way(site, task_id)) > 1)
    return task_id


@pytest.mark.parametrize(
    ("task", "outcomes"),
    [
        ("add", ["succeeded"]),
        ("add_sync", ["succeeded"]),
        ("fail_twice", ["failed", "failed", "succeeded"]),
        ("fail_twice_sync", ["failed", "failed", "succeeded"]),
        ("fail", ["failed"] * 5),
        ("give_up", ["discarded"]),
        ("return_object", ["result is not JSON"]),
        ("wait_sync", ["timed out", "succeeded"]),
    ],
)
def test_way_of_a_task_is_found_by_its_id_alone(site, task, outcomes):
    arguments = {
        "add": {"a": 1, "b": 2},
        "add_sync": {"a": 1, "b": 2},
        "fail_twice": {"key": "way"},
        "fail_twice_sync": {"key": "way_sync"},
        "wait_sync": {"seconds": 1.5},
    }
    task_id = settled(site, task, **arguments.get(task, {}))
    assert way(site, task_id)[:1] == ["enqueued"]
    site.wait_until(lambda: len(way(site, task_id)) > len(outcomes))
    found = way(site, task_id)[1:]
    if task == "wait_sync":  # its redelivery joins it, or is answered from what is remembered
        assert found[0] == "timed out"
        assert set(found) <= {"timed out", "succeeded"}
    else:
        assert found == outcomes


def test_delivery_is_one_line_even_if_it_comes_twice(site):
    site.emulator.duplicate_next(3)
    ids = [settled(site, "wait", seconds=0.3), settled(site, "add", a=1, b=1)]
    ids += [settled(site, "add_sync", a=1, b=1)]
    for task_id in ids:
        (message,) = site.emulator.messages(task_id=task_id)
        assert len(message.deliveries) == 2
        site.wait_until(lambda task_id=task_id: len(way(site, task_id)) == 3)
        assert Counter(way(site, task_id)) == {"enqueued": 1, "succeeded": 2}


def test_line_of_a_delivery_has_every_field(site):
    task_id = settled(site, "add", a=2, b=3)
    (message,) = site.emulator.messages(task_id=task_id)
    [enqueued] = lines(site, task_id=task_id, outcome="enqueued")
    [ran] = lines(site, task_id=task_id, outcome="succeeded")
    assert ran.pop("duration_ms") >= 0
    assert (
        ran.items()
        >= {
            "severity": "INFO",
            "task_name": "add",
            "message_id": message.message_id,
            "attempt": 1,
            "outcome": "succeeded",
            "result": "5",
            "logger": "asgi_tasks",
        }.items()
    )
    assert (enqueued["severity"], enqueued["message_id"]) == ("DEBUG", message.message_id)


def test_line_of_a_failure_has_the_traceback_for_error_reporting(site):
    task_id = settled(site, "fail")
    errors = lines(site, task_id=task_id, severity="ERROR")
    assert [line["attempt"] for line in errors] == [1, 2, 3, 4, 5]
    for line in errors:
        assert line["stack_trace"].startswith("Traceback (most recent call last):\n")
        assert line["stack_trace"].endswith("\nValueError: always")
        assert line["message"].startswith("Task fail failed in ")
        assert "\n" not in line["message"]


def test_line_of_a_long_failure_is_cut_and_has_its_fields(site):
    task_id = settled(site, "fail_at_length")
    for line in lines(site, task_id=task_id, outcome="failed"):
        assert line["stack_trace"].startswith("Traceback (most recent call last):\n")
        assert "\n[...]\n" in line["stack_trace"]
        assert len(line["stack_trace"]) < 65_000


@pytest.mark.parametrize(
    ("task", "texts"),
    [("log", ["hello, in a thread", "hello, on the loop"]), ("log_sync", ["hello, in a lane"])],
)
def test_lines_that_a_task_logs_are_found_by_its_id(site, task, texts):
    task_id = settled(site, task, text="hello")
    own = lines(site, task_id=task_id, logger="tests.site")
    assert [line["message"] for line in own] == texts
    assert {(line["task_name"], line["attempt"]) for line in own} == {(task, 1)}


async def test_refused_push_is_one_line(site):
    assert await push(site, push_body("add", 1, 2), "Bearer x.y.z") == 401
    site.process.wait_for("Push refused with 401")
    (line,) = lines(site, outcome="refused", status=401)
    assert line["severity"] == "WARNING"


def test_nothing_of_django_repeats_it(site):
    settled(site, "fail")
    assert "django.tasks" not in {line["logger"] for line in lines(site)}
    assert not re.search("state=(RUNNING|FAILED)", site.process.output)
