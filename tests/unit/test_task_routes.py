"""`manage.py task_routes`: the table and its JSON, of the test site's routes."""

import inspect
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.processes import ROOT
from tests.site import tasks
from tests.site.task_routes import task_routes

FILE = "tests/site/tasks.py"


def run(*arguments):
    output = StringIO()
    call_command("task_routes", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def rows():
    return {row["name"]: row for row in json.loads(run("--json"))["routes"]}


def test_every_route_is_in_the_table_in_its_order():
    lines = run().splitlines()
    assert [line.split()[0] for line in lines[1 : len(task_routes) + 1]] == [
        route.name for route in task_routes
    ]


def test_line_tells_what_runs_where_and_how_often():
    [line] = [line for line in run().splitlines() if line.startswith("wait_sync ")]
    *cells, task, code, topic = line.split()
    assert " ".join(cells) == "wait_sync sync 300 s 1 s 25 3 h 10 min"
    assert (task, topic) == ("tests.site.tasks.wait_sync", "test-site-wait-sync")
    assert code.startswith(f"{FILE}:")


@pytest.mark.parametrize(("name", "kind"), [("add", "coroutine"), ("add_sync", "sync")])
def test_kind_is_the_functions(rows, name, kind):
    assert rows[name]["kind"] == kind


@pytest.mark.parametrize("name", ["add", "wait_sync"])
def test_code_is_where_the_function_begins(rows, name):
    path, _, line = rows[name]["code"].partition(":")
    source = Path(path).read_text().splitlines()
    first = inspect.getsource(getattr(tasks, name).func).splitlines()[0]
    assert (path, source[int(line) - 1]) == (FILE, first)


def test_code_elsewhere_has_its_whole_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert json.loads(run("--json"))["routes"][0]["code"].startswith(f"{ROOT / FILE}:")


def test_retries_are_worked_out_from_delays_and_attempts(rows):
    assert rows["fail"]["max_delivery_attempts"] == 5
    assert rows["fail"]["retry_seconds"] == 10 + 20 + 40 + 80


def test_deadline_is_the_runs_own(rows):
    assert [rows["wait"][name] for name in ("ack_deadline", "deadline")] == [60, 55]


def test_alias_is_shown_with_its_topic(rows):
    assert rows["add_sync"]["aliases"] == {"old_add": "test-site-old-add"}
    assert "old_add is an alias of add_sync (test-site-old-add)" in run()


def test_task_that_strangers_may_feed_is_pointed_out(rows):
    assert [name for name, row in rows.items() if not row["signed"]] == ["echo"]
    assert "echo takes unsigned messages" in run()


def test_settings_without_the_backend_say_which_to_choose(settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    with pytest.raises(CommandError, match="--settings"):
        run()
