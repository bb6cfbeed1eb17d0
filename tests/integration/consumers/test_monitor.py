"""What django-tasks-monitor records of tasks that are pushed for real.

Its row of a task is changed by each signal. A trigger of the database keeps every state of it.
"""

import contextlib
import json
import sqlite3

import pytest

TRIGGER = """
    CREATE TABLE seen (result_id, status, attempts);
    CREATE TRIGGER inserted AFTER INSERT ON tasks_monitor_taskrecord
    BEGIN INSERT INTO seen VALUES (NEW.result_id, NEW.status, NEW.attempts); END;
    CREATE TRIGGER updated AFTER UPDATE ON tasks_monitor_taskrecord
    BEGIN INSERT INTO seen VALUES (NEW.result_id, NEW.status, NEW.attempts); END;
"""


class Monitor:
    """The site's database, as SQLite shows it to others."""

    def __init__(self, path):
        self._path = path
        self._do(TRIGGER)

    def record(self, task_id):
        (row,) = self._query("tasks_monitor_taskrecord", task_id)
        return row

    def states(self, task_id):
        """Status and attempts after each signal.

        READY is left out: the push may be there before the process that enqueued tells of it.
        """
        rows = [(row["status"], row["attempts"]) for row in self._query("seen", task_id)]
        return [row for row in rows if row[0] != "READY"]

    def _do(self, script):
        with contextlib.closing(sqlite3.connect(self._path, timeout=20)) as database:
            database.executescript(script)

    def _query(self, table, task_id):
        with contextlib.closing(sqlite3.connect(self._path, timeout=20)) as database:
            database.row_factory = sqlite3.Row
            query = f"SELECT * FROM {table} WHERE result_id = ? ORDER BY rowid"
            return database.execute(query, [task_id]).fetchall()


@pytest.fixture(scope="module")
def monitor(site):
    return Monitor(site.path.parent / "db.sqlite3")


@pytest.fixture(params=["enqueue", "aenqueue"])
def push(site, monitor, request):
    """Enqueue a task of the site and wait until it has come to its end; its id."""

    def push(task, **kwargs):
        task_id = site.enqueue(task, view=request.param, **kwargs)
        site.wait_until_settled(task_id)
        return task_id

    return push


@pytest.mark.parametrize("task", ["add", "add_sync"])
def test_task_that_succeeds(push, monitor, task):
    task_id = push(task, a=1, b=2)
    record = monitor.record(task_id)
    assert monitor.states(task_id) == [("RUNNING", 1), ("SUCCESSFUL", 1)]
    assert record["task_path"] == f"tests.site.tasks.{task}"
    assert json.loads(record["kwargs"]) == {"a": 1, "b": 2}
    assert (record["exception_class"], record["traceback"]) == ("", "")
    assert record["enqueued_at"] < record["started_at"] < record["finished_at"]
    assert len(json.loads(record["worker_ids"])) == 1


@pytest.mark.parametrize("task", ["fail_twice", "fail_twice_sync"])
def test_task_that_fails_twice_and_then_succeeds(push, monitor, task):
    task_id = push(task, key="k")
    record = monitor.record(task_id)
    assert monitor.states(task_id) == [
        *[("RUNNING", 1), ("FAILED", 1)],
        *[("RUNNING", 2), ("FAILED", 2)],
        *[("RUNNING", 3), ("SUCCESSFUL", 3)],
    ]
    assert (record["status"], record["attempts"]) == ("SUCCESSFUL", 3)
    assert len(json.loads(record["worker_ids"])) == 3


def test_error_of_an_earlier_attempt_stays_in_its_record(push, monitor):
    """Its on_finished never clears it: it is the monitor's, not ours."""
    task_id = push("fail_twice", key="k")
    assert monitor.record(task_id)["exception_class"] == "builtins.RuntimeError"


def test_task_that_fails_for_good(push, monitor):
    task_id = push("fail")
    record = monitor.record(task_id)
    assert monitor.states(task_id)[-2:] == [("RUNNING", 5), ("FAILED", 5)]
    assert record["exception_class"] == "builtins.ValueError"
    assert record["traceback"].endswith("ValueError: always\n")


def test_task_that_gives_up(push, monitor):
    task_id = push("give_up")
    assert monitor.states(task_id) == [("RUNNING", 1), ("FAILED", 1)]
    assert monitor.record(task_id)["exception_class"] == "asgi_tasks.exceptions.Discard"


def test_redelivery_of_a_task_that_is_done_is_one_more_run(site, push, monitor):
    """Its on_started takes back what had ended, until the second run has ended too."""
    task_id = push("add", a=1, b=2)
    site.emulator.redeliver_last("test-site-add-sub")
    assert monitor.states(task_id) == [("RUNNING", 1), ("SUCCESSFUL", 1)] * 2


def test_nothing_went_wrong_while_recording(push, site):
    push("add", a=1, b=2)
    assert "could not record" not in site.process.output
