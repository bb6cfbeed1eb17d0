"""`manage.py enqueue_task` and `run_task`, of the test site's tasks."""

import asyncio
import contextlib
import json
import signal
import sys
import time
import uuid
from copy import deepcopy
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.core.management import CommandError, call_command
from django.tasks import task

from asgi_tasks import publishers
from asgi_tasks.testing import emulator_process
from tests.processes import free_port, running
from tests.site import effects, tasks

IMMEDIATE = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}


@pytest.fixture(scope="module")
def broker():
    with emulator_process() as emulator:
        yield emulator


@pytest.fixture
def emulator(broker, monkeypatch):
    """It holds the site's topics, and nobody is there to be pushed to."""
    broker.reset()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.host)
    call_command("provision_tasks", stdout=StringIO())
    publishers.stop()  # that of an earlier test
    yield broker
    publishers.stop()


@pytest.fixture
def done(tmp_path, monkeypatch):
    """What tasks did."""
    path = tmp_path / "effects.jsonl"
    monkeypatch.setenv("TESTS_EFFECTS", str(path))
    return lambda: effects.read(path) if path.exists() else []


@pytest.fixture
def _in_development(settings):
    """No broker and no routes: tasks run where they are enqueued."""
    settings.TASKS = IMMEDIATE


@pytest.fixture
def stdin(monkeypatch):
    def give(data):
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(data)))

    return give


class Mute(Exception):
    """It cannot even say what it is."""

    def __str__(self):
        return str(1 / 0)


@pytest.fixture
def raising(monkeypatch):
    """A task that raises this, by its path."""

    def make(kind, error):
        def raising():
            raise error

        async def raising_later():
            raise error

        raising_later.__name__ = "raising"
        function = {"sync": raising, "coroutine": raising_later}[kind]
        monkeypatch.setattr(tasks, "raising", task(named(function)), raising=False)
        return "tests.site.tasks.raising"

    return make


def run(command, *arguments, stderr=None):
    """What it prints on standard output."""
    output = StringIO()
    call_command(command, *arguments, stdout=output, stderr=stderr or StringIO())
    return output.getvalue()


def refusal(command, *arguments):
    """The one line with which it fails, and the exit status."""
    with pytest.raises(CommandError) as caught:
        run(command, *arguments)
    (line,) = str(caught.value).splitlines()
    assert caught.value.returncode != 0
    return line


class TestEnqueue:
    @pytest.mark.parametrize("task", ["add", "add_sync", "tests.site.tasks.add_sync"])
    def test_task_is_published_and_its_id_is_all_that_is_printed(self, emulator, task):
        output = run("enqueue_task", task, "--kwargs", '{"a": 1, "b": 2}')
        (message,) = emulator.messages(task_id=output.strip())
        assert message.task == task.rpartition(".")[2]
        assert output == f"{uuid.UUID(output.strip())}\n"

    def test_alias_leads_to_the_task_and_its_own_topic(self, emulator):
        output = run("enqueue_task", "old_add", "--args", "[1, 2]")
        (message,) = emulator.messages(task_id=output.strip())
        assert message.task == "add_sync"

    def test_arguments_come_from_standard_input(self, emulator, stdin):
        stdin('{"a": 1, "b": "ü"}'.encode())
        assert emulator.messages(task_id=run("enqueue_task", "add", "--kwargs", "-").strip())

    def test_details_do_not_disturb_the_id(self, emulator):
        stderr = StringIO()
        output = run("enqueue_task", "add", "--args", "[1, 2]", "-v2", stderr=stderr)
        assert emulator.messages(task_id=output.strip())
        assert "by PubSubBackend" in stderr.getvalue()

    @pytest.mark.usefixtures("_in_development")
    def test_task_runs_at_once_in_development(self, done):
        assert len(run("enqueue_task", "tests.site.tasks.add", "--args", "[1, 2]").split()) == 1
        assert [effect["result"] for effect in done()] == [3]

    @pytest.mark.usefixtures("_in_development", "done")
    def test_failure_in_development_is_one_line(self):
        line = refusal("enqueue_task", "tests.site.tasks.fail")
        assert line == "fail failed: ValueError: always"

    def test_broker_that_refuses_is_one_line(self, emulator):
        emulator.fault("call.error", call="Publish", status=403)
        line = refusal("enqueue_task", "add", "--args", "[1, 2]")
        assert "was not published to projects/tests/topics/test-site-add" in line

    def test_broker_that_is_away_is_one_line(self, monkeypatch):
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
        assert "was not published to" in refusal("enqueue_task", "add", "--args", "[1, 2]")
        publishers.stop()

    def test_task_in_doubt_has_an_exit_status_of_its_own(self, emulator, settings):
        changed = deepcopy(settings.TASKS)
        changed["default"]["OPTIONS"]["publish_timeout"] = 0.5
        settings.TASKS = changed
        emulator.fault("publish.lose_response")
        with pytest.raises(CommandError, match="Its id is") as caught:
            run("enqueue_task", "add", "--args", "[1, 2]")
        assert caught.value.returncode == 2
        task_id = str(caught.value).rstrip(".").rpartition(" ")[2]
        assert emulator.messages(task_id=task_id)

    def test_task_without_a_route_is_told_where_to_add_it(self, emulator):
        line = refusal("enqueue_task", "tests.reliability.served.tasks.open_resource")
        assert "has no route. Add TaskRoute(open_resource) to" in line
        assert emulator.messages() == []


class TestRun:
    @pytest.mark.parametrize("task", ["add", "add_sync", "tests.site.tasks.add"])
    def test_return_value_is_printed_as_json(self, done, task):
        assert run("run_task", task, "--kwargs", '{"a": 1, "b": 2}') == "3\n"
        assert [effect["result"] for effect in done()] == [3]

    @pytest.mark.usefixtures("_in_development", "done")
    def test_task_runs_by_its_path_where_there_are_no_routes(self):
        assert run("run_task", "tests.site.tasks.add", "--args", "[1, 2]") == "3\n"

    def test_arguments_of_both_kinds_arrive(self):
        output = run("run_task", "echo", "--args", '[1, "ü"]', "--kwargs", '{"k": null}')
        assert json.loads(output) == [[1, "ü"], {"k": None}]

    @pytest.mark.parametrize("task", ["fail_twice", "fail_twice_sync"])
    def test_context_is_that_of_a_first_attempt(self, done, task):
        assert "RuntimeError: not yet" in refusal("run_task", task, "--args", '["k"]')
        assert [(effect["key"], effect["attempt"]) for effect in done()] == [("k", 1)]

    @pytest.mark.usefixtures("done")
    def test_error_is_one_line_with_its_place(self):
        line = refusal("run_task", "fail")
        assert line.startswith("fail failed: ValueError: always (")
        assert "tests/site/tasks.py:" in line

    @pytest.mark.usefixtures("done")
    def test_traceback_is_shown_on_request(self, tmp_path):
        command = (sys.executable, "-m", "django", "run_task", "fail")
        env = environment(tmp_path)
        with running(*command, env=env) as plain, running(*command, "--traceback", env=env) as full:
            assert (plain.wait(), full.wait()) == (1, 1)
        assert len(plain.output.splitlines()) == 1
        assert 'raise ValueError("always")' in full.output

    @pytest.mark.usefixtures("done")
    def test_discard_says_that_it_would_not_come_again(self):
        line = refusal("run_task", "give_up")
        assert line == (
            "give_up was discarded, and would not be delivered again: Discard: nothing to do"
        )

    def test_exit_of_a_task_is_its_failure(self):
        assert refusal("run_task", "leave").startswith(
            "leave failed: SystemExit: a task that exits"
        )

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (asyncio.CancelledError(), "CancelledError"),
            (asyncio.CancelledError("so"), "CancelledError: so"),
            (BaseExceptionGroup("two", [KeyboardInterrupt()]), "BaseExceptionGroup: two (1 sub-"),
            (GeneratorExit(), "GeneratorExit"),
            (Mute(), "Mute: which cannot be shown: ZeroDivisionError"),
        ],
        ids=lambda value: type(value).__name__,
    )
    @pytest.mark.parametrize("kind", ["coroutine", "sync"])
    def test_whatever_a_task_raises_is_one_line(self, raising, kind, error, said):
        name = raising(kind, error)
        assert refusal("run_task", name).startswith(f"raising failed: {said}")

    @pytest.mark.parametrize("kind", ["coroutine", "sync"])
    def test_interrupt_within_a_task_is_no_failure(self, raising, kind):
        name = raising(kind, KeyboardInterrupt())
        with pytest.raises(CommandError, match=r"^raising was interrupted\.$") as caught:
            run("run_task", name)
        assert caught.value.returncode == 130

    @pytest.mark.usefixtures("done")
    def test_result_that_is_not_json_is_told_from_a_failure(self):
        line = refusal("run_task", "return_object")
        assert line.startswith("return_object ran, but its result is not JSON: ")

    @pytest.mark.parametrize("task", ["wait", "wait_sync"])
    def test_task_ends_at_the_timeout(self, done, task):
        line = refusal("run_task", task, "--args", "[60]", "--timeout", "0.2")
        assert line == f"{task} ran for more than 0.2 s."
        assert [effect["task"] for effect in done()] == [task]

    def test_task_cannot_catch_the_timeout(self, monkeypatch):
        def stubborn():
            with contextlib.suppress(Exception):
                time.sleep(60)

        monkeypatch.setattr(tasks, "stubborn", task(named(stubborn)), raising=False)
        line = refusal("run_task", "tests.site.tasks.stubborn", "--timeout", "0.2")
        assert line == "stubborn ran for more than 0.2 s."

    def test_no_alarm_is_left_behind(self, done):
        before = signal.getsignal(signal.SIGALRM)
        assert run("run_task", "add_sync", "--args", "[1, 2]", "--timeout", "60") == "3\n"
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        assert signal.getsignal(signal.SIGALRM) == before

    @pytest.mark.parametrize("task", ["wait", "wait_sync"])
    def test_interrupt_is_one_line(self, tmp_path, task):
        env = environment(tmp_path) | {"TESTS_EFFECTS": "/dev/stdout"}
        command = (sys.executable, "-m", "django", "run_task", task, "--args", "[60]")
        with running(*command, env=env) as process:
            process.wait_for('"task": "wait')
            process.send(signal.SIGINT)
            assert process.wait() == 130
        assert process.output.splitlines()[1:] == [f"CommandError: {task} was interrupted."]


@pytest.mark.parametrize("command", ["enqueue_task", "run_task"])
def test_where_there_are_no_tasks_it_is_said_where_they_are_looked_for(command, settings):
    settings.TASKS, settings.INSTALLED_APPS = IMMEDIATE, ["asgi_tasks"]
    assert refusal(command, "no.such").startswith(
        "No task is named 'no.such'. No tasks were found in the modules named 'tasks' of "
        "INSTALLED_APPS."
    )


class TestBadInput:
    """The same for both commands: nothing is enqueued and nothing runs."""

    @pytest.fixture(params=["enqueue_task", "run_task"], autouse=True)
    def command(self, request, done, emulator):
        yield request.param
        assert done() == emulator.messages() == []

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("ad", "Did you mean 'add'?"),
            ("tests.site.tasks.ad", "Did you mean 'tests.site.tasks.add'?"),
            ("zzz", "The names are: add, "),
            ("no.such.module", "No module named 'no'"),
            ("os.system", "os.system is not a task"),
            ("tests.security.decoy.nothing", ""),
            ("", "No task is named ''"),
        ],
    )
    def test_task_that_is_none(self, command, name, said):
        assert said in refusal(command, name)

    @pytest.mark.parametrize(
        ("option", "text", "said"),
        [
            ("--kwargs", "{a: 1}", "--kwargs is not the JSON expected: "),
            ("--kwargs", "", "--kwargs is not the JSON expected: "),
            ("--kwargs", "[1]", '--kwargs has to be an object: {"user_id": 1}'),
            ("--kwargs", '{"a": 1, "a": 2}', "a key stands twice"),
            ("--kwargs", '{"a": NaN}', "NaN is not JSON"),
            ("--kwargs", "\udcff", "--kwargs is not UTF-8."),
            ("--args", "1", "--args has to be a list: [1, 2]"),
            ("--args", "[" * 10_000, "--args is not the JSON expected: "),
        ],
    )
    def test_json_that_is_none(self, command, option, text, said):
        assert said in refusal(command, "add", f"{option}={text}")

    def test_standard_input_that_is_not_utf8(self, command, stdin):
        stdin(b'{"a": "\xff"}')
        assert "--kwargs is not the JSON expected: " in refusal(command, "add", "--kwargs=-")

    def test_standard_input_for_both(self, command):
        line = refusal(command, "add", "--kwargs=-", "--args=-")
        assert line.startswith("Only one of --args and --kwargs")

    @pytest.mark.parametrize(
        ("task", "kwargs", "said"),
        [
            ("add", '{"a": 1}', "add(a, b) does not take these arguments: missing a required "),
            ("add", '{"a": 1}', "'b'"),
            ("add", '{"a": 1, "b": 2, "c": 3}', "unexpected keyword argument 'c'"),
            ("fail_twice", '{"context": 1}', "fail_twice(key) does not take these arguments"),
            ("fail", '{"a": 1}', "unexpected keyword argument 'a'"),
        ],
    )
    def test_arguments_that_do_not_fit(self, command, task, kwargs, said):
        assert said in refusal(command, task, "--kwargs", kwargs)

    @pytest.mark.parametrize(
        ("option", "value"),
        [("publish_timeout", "x"), ("routes", "no.such.routes"), ("nonsense", 1)],
    )
    def test_settings_that_are_wrong(self, command, settings, option, value):
        changed = deepcopy(settings.TASKS)
        changed["default"]["OPTIONS"][option] = value
        settings.TASKS = changed
        assert "asgi_tasks.E00" in refusal(command, "add", "--args", "[1, 2]")

    @pytest.mark.usefixtures("_in_development")
    def test_short_name_where_there_are_no_routes(self, command):
        line = refusal(command, "add", "--args", "[1, 2]")
        assert "These settings have no PubSubBackend, and so no routes" in line
        assert line.endswith("such as 'tests.site.tasks.add'.")


def named(function):
    """As if it stood in the site's module: a task's function has to."""
    function.__qualname__, function.__module__ = function.__name__, tasks.__name__
    return function


def environment(folder):
    """Of a process that needs no broker."""
    env = {"PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
    return {"DJANGO_SETTINGS_MODULE": "tests.site.settings", **env}
