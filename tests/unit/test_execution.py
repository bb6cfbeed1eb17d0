import asyncio
import logging
import re
import threading
import uuid
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import replace

import django
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import ConnectionHandler, OperationalError, connection
from django.tasks import TaskResultStatus, task
from django.tasks.signals import task_finished, task_started
from django.utils.translation import gettext_lazy

from asgi_tasks import Discard, TaskRoute, execution
from asgi_tasks.backends import PubSubBackend
from asgi_tasks.conf import get_options
from asgi_tasks.deliveries import Delivery, Outcome
from asgi_tasks.execution import GRACE, execute
from asgi_tasks.lanes import Borrower, Lanes, TransactionLeftOpen
from tests.pushes import make_message

LONG = 10  # seconds until a test gives up; nothing waits that long

acts = {}  # what the tasks do, by key


@task
async def act(key):
    done = acts[key]()
    return await done if asyncio.iscoroutine(done) else done


@task
def act_sync(key):
    return acts[key]()


@task(takes_context=True)
async def act_in_context(context, key):
    return acts[key](context)


@task(takes_context=True)
def act_in_context_sync(context, key):
    return acts[key](context)


@task
async def change(key, words):
    words.append(key)


@task
def change_sync(key, words):
    words.append(key)


both_kinds = pytest.mark.parametrize("task", [act, act_sync], ids=["coroutine", "sync"])


class Stage:
    """Deliveries of tasks that do what the test says."""

    def __init__(self, lanes=4):
        self.lanes = Lanes(lanes)
        self._keys = []

    def deliver(self, task, do, *, attempt=1, **route):
        key = str(uuid.uuid4())
        acts[key] = do
        self._keys.append(key)
        return Delivery(
            route=TaskRoute(task, **route),
            message=make_message(task.name, key),
            message_id="1",
            subscription="projects/p/subscriptions/s",
            attributes={},
            attempt=attempt,
            received=asyncio.get_running_loop().time(),
            options=get_options("default"),
            backend="default",
            sender=PubSubBackend,
        )

    async def run(self, delivery):
        async with asyncio.timeout(LONG):
            return await execute(delivery, self.lanes)

    def start(self, delivery):
        return asyncio.create_task(self.run(delivery))

    async def settled(self):
        """All runs have ended, also those nobody waits for."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=LONG)

    async def drained(self):
        """Everything that was ready has run."""
        for _ in range(10):
            await asyncio.sleep(0)

    def close(self):
        for key in self._keys:
            del acts[key]


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def heard():
    """The signals of the library's tasks: (signal, status, TaskResult)."""
    heard = []

    def listen(signal, sender, task_result, **kwargs):
        heard.append((names[signal], task_result.status, task_result))

    names = {task_started: "started", task_finished: "finished"}
    for signal in names:
        signal.connect(listen, sender=PubSubBackend)
    yield heard
    for signal in names:
        signal.disconnect(listen, sender=PubSubBackend)


class Gate:
    """Where a task waits, coroutine or thread, until the test opens it."""

    def __init__(self):
        self.runs = 0
        self.cancelled = 0
        self._entered = Future()
        self._opened = Future()

    async def entered(self):
        await asyncio.wait_for(asyncio.wrap_future(self._entered), LONG)

    def open(self):
        self._opened.set_result("through")

    def wait(self):
        self._enter()
        return self._opened.result(LONG)

    async def await_(self):
        self._enter()
        try:
            return await asyncio.shield(asyncio.wrap_future(self._opened))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def pass_by(self, task):
        return self.await_ if task is act else self.wait

    def _enter(self):
        self.runs += 1
        if not self._entered.done():
            self._entered.set_result(None)


def raises(error):
    def act():
        raise error

    return act


class Broken(list):
    def __iter__(self):
        raise RuntimeError("broken")


class Mine(BaseException):
    pass


# How a task ends


@both_kinds
@pytest.mark.parametrize(
    ("do", "outcome", "status"),
    [
        (lambda: {"a": (1, None)}, Outcome.SUCCEEDED, 204),
        (raises(Discard("no")), Outcome.DISCARDED, 204),
        (object, Outcome.RESULT_NOT_JSON, 204),
        (lambda: float("nan"), Outcome.RESULT_NOT_JSON, 204),
        (lambda: gettext_lazy("later"), Outcome.RESULT_NOT_JSON, 204),
        (lambda: Broken([1]), Outcome.RESULT_NOT_JSON, 204),
        (raises(ValueError("wrong")), Outcome.FAILED, 500),
        (raises(TimeoutError("its own")), Outcome.FAILED, 500),
        (raises(asyncio.CancelledError("its own")), Outcome.FAILED, 500),
        (raises(SystemExit(3)), Outcome.FAILED, 500),
        (raises(Mine()), Outcome.FAILED, 500),
        (raises(BaseExceptionGroup("many", [Mine()])), Outcome.FAILED, 500),
    ],
    ids=[
        "returns",
        "discards",
        "returns an object",
        "returns NaN",
        "returns a lazy text",
        "returns what raises",
        "raises",
        "raises TimeoutError",
        "raises CancelledError",
        "exits",
        "raises a BaseException",
        "raises a group",
    ],
)
async def test_task_ends(stage, task, do, outcome, status):
    report = await stage.run(stage.deliver(task, do))
    assert (report.outcome, report.outcome.status) == (outcome, status)


@both_kinds
async def test_result_is_reported_as_json_gives_it_back(stage, task):
    report = await stage.run(stage.deliver(task, lambda: {"a": (1, b"two")}))
    assert report.result == {"a": [1, "two"]}


@both_kinds
def test_keyboard_interrupt_is_not_swallowed(task):
    stage = Stage()

    async def main():
        await stage.run(stage.deliver(task, raises(KeyboardInterrupt)))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    stage.close()


@pytest.mark.parametrize("task", [act_in_context, act_in_context_sync])
async def test_context_tells_the_attempt(stage, task):
    report = await stage.run(stage.deliver(task, lambda context: context.attempt, attempt=3))
    assert report.result == 3


@pytest.mark.parametrize("task", [act_in_context, act_in_context_sync])
async def test_context_has_the_result_of_this_task(stage, task):
    delivery = stage.deliver(task, lambda context: context.task_result.id)
    assert (await stage.run(delivery)).result == delivery.message.task_id


# The result that signals carry


@both_kinds
async def test_started_and_finished_are_sent_with_the_task(stage, heard, task):
    delivery = stage.deliver(task, lambda: 5)
    seen = []
    acts[delivery.message.args[0]] = lambda: seen.extend(heard)
    await stage.run(delivery)
    started, finished = heard
    assert seen[0][:2] == started[:2] == ("started", TaskResultStatus.RUNNING)
    assert finished[:2] == ("finished", TaskResultStatus.SUCCESSFUL)
    assert started[2].task is finished[2].task is task


@both_kinds
async def test_status_is_running_while_the_task_runs(stage, heard, task):
    def status():
        # A thread that outlived another test may be heard as well.
        results = [result for _, _, result in heard]
        return next(r.status for r in results if r.id == delivery.message.task_id)

    delivery = stage.deliver(task, status)
    assert (await stage.run(delivery)).result == TaskResultStatus.RUNNING


@both_kinds
async def test_finished_result_of_a_success(stage, heard, task):
    delivery = stage.deliver(task, lambda: (1, 2))
    await stage.run(delivery)
    result = heard[-1][2]
    assert result.return_value == [1, 2]
    assert result.errors == []
    assert result.id == delivery.message.task_id
    assert result.enqueued_at == delivery.message.enqueued_at
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert (result.args, result.kwargs) == (delivery.message.args, {})
    assert result.attempts == 1


@both_kinds
@pytest.mark.parametrize("error", [ValueError, Discard, SystemExit])
async def test_finished_result_of_a_failure(stage, heard, task, error):
    await stage.run(stage.deliver(task, raises(error("why"))))
    name, status, result = heard[-1]
    assert (name, status) == ("finished", TaskResultStatus.FAILED)
    assert result.errors[0].exception_class is error
    assert "why" in result.errors[0].traceback


@both_kinds
async def test_finished_result_of_an_answer_that_is_not_json(stage, heard, task):
    await stage.run(stage.deliver(task, object))
    assert heard[-1][2].status == TaskResultStatus.FAILED
    assert heard[-1][2].errors[0].exception_class is TypeError


async def test_finished_result_of_a_timeout(stage, heard):
    await stage.run(stage.deliver(act, asyncio.Event().wait, timeout=0.01))
    assert heard[-1][2].status == TaskResultStatus.FAILED
    assert heard[-1][2].errors[0].exception_class is TimeoutError


# Receivers


def _in_thread(calls):
    def receiver(**kwargs):
        calls.append(User.objects.count())

    return receiver


def _on_loop(calls):
    async def receiver(**kwargs):
        calls.append(await User.objects.acount())

    return receiver


def close_connection(lanes):
    """Django keeps connections to a database in memory open."""
    Borrower(lanes).submit(lambda: connection.connection.close()).result(LONG)  # noqa: PLW0108


@pytest.mark.django_db(transaction=True)
@both_kinds
@pytest.mark.parametrize("make", [_in_thread, _on_loop], ids=["sync receiver", "async receiver"])
async def test_receiver_may_use_the_orm(stage, task, make):
    stage.lanes, calls = Lanes(1), []
    receiver = make(calls)
    for signal in (task_started, task_finished):
        signal.connect(receiver)
    report = await stage.run(stage.deliver(task, lambda: len(calls)))
    for signal in (task_started, task_finished):
        signal.disconnect(receiver)
    close_connection(stage.lanes)
    assert (report.result, calls) == (1, [0, 0])


@both_kinds
@pytest.mark.parametrize("signal", [task_started, task_finished], ids=["started", "finished"])
async def test_receiver_that_raises_does_not_change_the_answer(stage, caplog, task, signal):
    def receiver(**kwargs):
        raise RuntimeError("a broken receiver")

    signal.connect(receiver)
    report = await stage.run(stage.deliver(task, lambda: "fine"))
    signal.disconnect(receiver)
    assert (report.outcome, report.result) == (Outcome.SUCCEEDED, "fine")
    assert "a broken receiver" in caplog.text


def leave_a_transaction(**kwargs):
    connection.set_autocommit(False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", [task_started, task_finished], ids=["started", "finished"])
@both_kinds
async def test_receiver_that_leaves_a_transaction_open_changes_no_answer(
    stage, caplog, task, signal
):
    stage.lanes = Lanes(1)
    signal.connect(leave_a_transaction)
    report = await stage.run(stage.deliver(task, lambda: "fine"))
    signal.disconnect(leave_a_transaction)
    close_connection(stage.lanes)
    assert (report.outcome, report.result) == (Outcome.SUCCEEDED, "fine")
    assert "A receiver of a task's signal failed" in caplog.text


def test_run_that_outlived_its_answer_is_remembered_for_the_longest_ack_deadline():
    assert execution.REMEMBERED == 600


# Log lines


@both_kinds
@pytest.mark.parametrize(
    ("do", "word"), [(raises(ValueError("why")), "failed"), (object, "result is not JSON")]
)
async def test_failure_is_one_error_line_with_the_traceback(stage, caplog, task, do, word):
    delivery = stage.deliver(task, do)
    await stage.run(delivery)
    (line,) = [r for r in caplog.records if r.name == "asgi_tasks" and r.levelname == "ERROR"]
    assert line.exc_info[1] is not None
    for part in (task.name, word, delivery.message.task_id):
        assert part in line.getMessage()


@both_kinds
async def test_discard_is_one_warning_line_with_the_traceback(stage, caplog, task):
    delivery = stage.deliver(task, raises(Discard("nothing to do")))
    await stage.run(delivery)
    (line,) = [r for r in caplog.records if r.name == "asgi_tasks"]
    assert line.levelname == "WARNING"
    assert str(line.exc_info[1]) == "nothing to do"
    assert f": id={delivery.message.task_id} " in line.getMessage()


@both_kinds
async def test_django_logs_the_start_and_the_end(stage, caplog, task):
    caplog.set_level(logging.INFO, "django.tasks")
    delivery = stage.deliver(task, lambda: None)
    await stage.run(delivery)
    lines = [r.getMessage() for r in caplog.records if r.name == "django.tasks"]
    path, name = task.module_path, delivery.message.task_id
    assert lines == [f"Task id={name} path={path} state={s}" for s in ("RUNNING", "SUCCESSFUL")]


# Django 6.0 loses the exception on the way to the receivers' thread.
@both_kinds
@pytest.mark.parametrize(
    "is_heard",
    [False, *([True] if django.VERSION >= (6, 1) else [])],
    ids=lambda is_heard: "others listen too" if is_heard else "django listens",
)
async def test_django_logs_a_failure_with_its_traceback(stage, caplog, request, task, is_heard):
    if is_heard:
        request.getfixturevalue("heard")
    error = ValueError("why")
    await stage.run(stage.deliver(task, raises(error)))
    (line,) = [r for r in caplog.records if r.name == "django.tasks" and r.levelname == "ERROR"]
    assert line.exc_info[1] is error


async def _hidden():
    raise AssertionError("it runs")


async def _asynchronous():
    yield


@pytest.mark.parametrize(
    "do",
    [_hidden, _asynchronous, lambda: (each for each in [1])],
    ids=["coroutine", "async generator", "generator"],
)
async def test_task_that_returns_unfinished_work_has_failed(stage, heard, do):
    report = await stage.run(stage.deliver(act_sync, do))
    assert report.outcome is Outcome.FAILED
    assert [status for *_, status, _ in heard][-1] == TaskResultStatus.FAILED


@both_kinds
async def test_error_that_the_route_discards_ends_the_task(stage, heard, task):
    delivery = stage.deliver(task, raises(LookupError("gone")), discard_on=(LookupError,))
    report = await stage.run(delivery)
    assert (report.outcome, report.outcome.status) == (Outcome.DISCARDED, 204)
    name, status, result = heard[-1]
    assert (name, status) == ("finished", TaskResultStatus.FAILED)
    assert result.errors[0].exception_class_path == "builtins.LookupError"


@both_kinds
async def test_error_that_the_route_does_not_discard_is_a_failure(stage, task):
    delivery = stage.deliver(task, raises(ValueError("no")), discard_on=(LookupError,))
    assert (await stage.run(delivery)).outcome is Outcome.FAILED


async def test_task_that_returns_unfinished_work_is_not_discarded(stage):
    async def never():
        raise AssertionError("it ran")

    report = await stage.run(stage.deliver(act_sync, never, discard_on=(TypeError,)))
    assert report.outcome is Outcome.FAILED


async def test_overrun_is_no_error_to_discard(stage):
    delivery = stage.deliver(act, Gate().await_, timeout=0.01, discard_on=(TimeoutError,))
    assert (await stage.run(delivery)).outcome is Outcome.TIMED_OUT


# Databases


def connect_to_nowhere():
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/db.sqlite3"}
    ConnectionHandler({"default": database})["default"].cursor()


async def aconnect_to_nowhere():
    await sync_to_async(connect_to_nowhere)()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("task", "do"), [(act, aconnect_to_nowhere), (act_sync, connect_to_nowhere)]
)
async def test_database_out_of_reach_is_unavailable(stage, heard, task, do):
    report = await stage.run(stage.deliver(task, do))
    assert (report.outcome, report.outcome.status) == (Outcome.NO_DATABASE, 503)
    assert heard[-1][1] == TaskResultStatus.FAILED


@both_kinds
async def test_database_error_of_a_query_is_a_failure(stage, task):
    report = await stage.run(stage.deliver(task, raises(OperationalError("database is locked"))))
    assert report.outcome is Outcome.FAILED


def leave_open():
    connection.set_autocommit(False)


async def aleave_open():
    await sync_to_async(leave_open)()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("task", "do"), [(act, aleave_open), (act_sync, leave_open)])
async def test_task_that_leaves_a_transaction_open_has_failed(stage, heard, task, do):
    stage.lanes = Lanes(1)
    report = await stage.run(stage.deliver(task, do))
    close_connection(stage.lanes)
    assert report.outcome is Outcome.FAILED
    assert [status for _, status, _ in heard] == ["RUNNING", "FAILED"]
    assert heard[-1][2].errors[0].exception_class is TransactionLeftOpen


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("task", "do"), [(act, aleave_open), (act_sync, leave_open)])
async def test_transaction_left_open_is_no_error_to_discard(stage, task, do):
    stage.lanes = Lanes(1)
    report = await stage.run(stage.deliver(task, do, discard_on=(Exception,)))
    close_connection(stage.lanes)
    assert report.outcome is Outcome.FAILED


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("task", "do"), [(act, aconnect_to_nowhere), (act_sync, connect_to_nowhere)]
)
async def test_database_out_of_reach_is_no_error_to_discard(stage, task, do):
    report = await stage.run(stage.deliver(task, do, discard_on=(Exception,)))
    assert report.outcome is Outcome.NO_DATABASE


# Deadlines


async def test_coroutine_past_its_deadline_is_cancelled(stage):
    gate = Gate()
    report = await stage.run(stage.deliver(act, gate.await_, timeout=0.01))
    assert (report.outcome, gate.cancelled) == (Outcome.TIMED_OUT, 1)


async def test_coroutine_that_raises_while_it_is_cancelled_timed_out(stage):
    async def do():
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("on the way out")

    report = await stage.run(stage.deliver(act, do, timeout=0.01))
    assert report.outcome is Outcome.TIMED_OUT


async def test_coroutine_that_finishes_all_the_same_has_succeeded(stage):
    async def do():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done"

    report = await stage.run(stage.deliver(act, do, timeout=0.01))
    assert (report.outcome, report.result) == (Outcome.SUCCEEDED, "done")


async def test_coroutine_that_cannot_be_cancelled_timed_out(stage):
    gate, stubborn = Gate(), []

    async def do():
        while True:
            try:
                return await asyncio.shield(stubborn[0])
            except asyncio.CancelledError:
                pass

    stubborn.append(asyncio.ensure_future(gate.await_()))
    delivery = stage.deliver(act, do, timeout=0.01)
    almost = replace(delivery, received=delivery.received - GRACE)
    assert (await stage.run(almost)).outcome is Outcome.TIMED_OUT
    redelivery = stage.start(_again(delivery))
    await stage.drained()
    gate.open()
    report = await redelivery
    assert (report.outcome, report.result, gate.runs) == (Outcome.SUCCEEDED, "through", 1)


async def test_sync_task_past_its_deadline_timed_out(stage):
    gate = Gate()
    report = await stage.run(stage.deliver(act_sync, gate.wait, timeout=0.2))
    gate.open()
    assert report.outcome is Outcome.TIMED_OUT


@both_kinds
async def test_wait_for_a_lane_counts(stage, task):
    """A deadline is of the push, not of the run: this one was over before."""
    gate = Gate()
    delivery = stage.deliver(task, gate.pass_by(task))
    late = replace(delivery, received=delivery.received - 1000)
    report = await stage.run(late)
    gate.open()
    assert not report.outcome.is_acknowledged


async def test_sync_task_without_a_lane_in_time_never_runs(stage):
    stage.lanes, gate, ran = Lanes(1), Gate(), []
    blocker = Borrower(stage.lanes).submit(gate.wait)
    report = await stage.run(stage.deliver(act_sync, lambda: ran.append(1), timeout=0.01))
    gate.open()
    blocker.result(LONG)
    Borrower(stage.lanes).submit(int).result(LONG)
    assert (report.outcome, report.outcome.status, ran) == (Outcome.NO_LANE, 503, [])


# The same task id again


@both_kinds
async def test_redelivery_joins_the_run(stage, task):
    gate = Gate()
    delivery = stage.deliver(task, gate.pass_by(task))
    runs = [stage.start(_again(delivery)) for _ in range(5)]
    await gate.entered()
    await stage.drained()
    gate.open()
    reports = await asyncio.gather(*runs)
    assert {(report.outcome, report.result) for report in reports} == {
        (Outcome.SUCCEEDED, "through")
    }
    assert gate.runs == 1


@both_kinds
async def test_redelivery_after_a_failure_runs_again(stage, task):
    runs = []

    def do():
        runs.append(1)
        raise ValueError

    delivery = stage.deliver(task, do)
    reports = [await stage.run(_again(delivery)) for _ in range(2)]
    assert [report.outcome for report in reports] == [Outcome.FAILED] * 2
    assert len(runs) == 2


@both_kinds
async def test_redelivery_after_an_answered_success_runs_again(stage, task):
    """At least once: what was answered is not remembered, since Pub/Sub rarely asks again."""
    runs = []
    delivery = stage.deliver(task, lambda: runs.append(1))
    for _ in range(2):
        await stage.run(_again(delivery))
    assert len(runs) == 2


@both_kinds
async def test_first_waiter_leaves_and_the_run_goes_on_for_the_second(stage, task):
    gate = Gate()
    delivery = stage.deliver(task, gate.pass_by(task))
    first, second = stage.start(delivery), stage.start(_again(delivery))
    await gate.entered()
    await stage.drained()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open()
    assert (await second).outcome is Outcome.SUCCEEDED
    assert (gate.runs, gate.cancelled) == (1, 0)


async def test_last_waiter_leaves_and_the_coroutine_is_cancelled(stage, heard, caplog):
    gate = Gate()
    delivery = stage.deliver(act, gate.await_)
    waiters = [stage.start(_again(delivery)) for _ in range(2)]
    await gate.entered()
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)
    await stage.settled()
    assert gate.cancelled == 1
    assert [name for name, *_ in heard] == ["started"]
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


@pytest.mark.parametrize("task", [change, change_sync], ids=["coroutine", "sync"])
async def test_task_that_changes_its_arguments_changes_a_copy(stage, task):
    delivery = stage.deliver(task, None)
    message = make_message(task.name, "more", ["one"])
    report = await stage.run(replace(delivery, route=TaskRoute(task), message=message))
    assert report.outcome is Outcome.SUCCEEDED
    assert message.args == ["more", ["one"]]


async def test_receivers_see_what_the_task_has_set_in_its_context(stage):
    request, seen = ContextVar("request"), []

    async def act_and_set():
        await asyncio.sleep(0)
        request.set("42")

    def listen(sender, **kwargs):
        seen.append(request.get(None))

    task_finished.connect(listen)
    try:
        await stage.run(stage.deliver(act, act_and_set))
    finally:
        task_finished.disconnect(listen)
    assert seen == ["42"]


async def test_redelivery_after_a_cancelled_run_runs_again(stage):
    gate = Gate()
    delivery = stage.deliver(act, gate.await_)
    waiter = stage.start(delivery)
    await gate.entered()
    waiter.cancel()
    await asyncio.wait([waiter])
    await stage.settled()
    gate.open()
    assert (await stage.run(_again(delivery))).outcome is Outcome.SUCCEEDED
    assert gate.runs == 2


@pytest.mark.parametrize("leave", ["times out", "is cancelled"])
async def test_redelivery_joins_the_thread_whose_push_left(stage, leave):
    gate = Gate()
    delivery = stage.deliver(act_sync, gate.wait)
    await _leave(stage, delivery, gate, leave)
    redelivery = stage.start(_again(delivery))
    await stage.drained()
    gate.open()
    assert (await redelivery).result == "through"
    assert gate.runs == 1


@pytest.mark.parametrize("leave", ["times out", "is cancelled"])
async def test_redelivery_is_answered_by_the_run_whose_push_left(stage, leave):
    gate = Gate()
    delivery = stage.deliver(act_sync, gate.wait)
    await _leave(stage, delivery, gate, leave)
    gate.open()
    await stage.settled()
    report = await stage.run(_again(delivery))
    assert (report.outcome, report.result, gate.runs) == (Outcome.SUCCEEDED, "through", 1)


async def test_run_whose_push_left_is_forgotten_after_a_while(stage, monkeypatch):
    monkeypatch.setattr(execution, "REMEMBERED", 0)
    gate = Gate()
    delivery = stage.deliver(act_sync, gate.wait)
    await _leave(stage, delivery, gate, "times out")
    gate.open()
    await stage.settled()
    await stage.drained()
    await stage.run(_again(delivery))
    assert gate.runs == 2


async def test_end_of_a_run_whose_push_left_is_logged(stage, caplog):
    caplog.set_level(logging.INFO, "asgi_tasks")
    gate = Gate()
    delivery = stage.deliver(act_sync, gate.wait)
    await _leave(stage, delivery, gate, "times out")
    gate.open()
    await stage.settled()
    (_, line) = [r.getMessage() for r in caplog.records if r.name == "asgi_tasks"]
    rest = f"ms after its push was given up: id={delivery.message.task_id} message=1 attempt=1"
    assert re.fullmatch(rf"Task act_sync succeeded in \d+ {rest} result=.*", line)


@pytest.fixture
def slow_receiver():
    """A receiver of task_finished that waits until the test lets it go."""
    gate = Gate()

    def receive(**kwargs):
        gate.wait()

    task_finished.connect(receive)
    yield gate
    task_finished.disconnect(receive)


@both_kinds
async def test_task_that_ended_in_time_has_succeeded_however_slow_its_receivers(
    stage, caplog, task, slow_receiver
):
    caplog.set_level(logging.INFO, "asgi_tasks")
    delivery = stage.deliver(task, lambda: "done", timeout=0.2)
    delivery = replace(delivery, received=delivery.received - (GRACE if task is act else 0))
    report = await stage.run(delivery)
    slow_receiver.open()
    await stage.settled()
    assert (report.outcome, report.result) == (Outcome.SUCCEEDED, "done")
    assert len([r for r in caplog.records if r.name == "asgi_tasks"]) == 1


@both_kinds
async def test_client_that_leaves_while_receivers_run_cancels_nothing(
    stage, caplog, task, slow_receiver
):
    caplog.set_level(logging.INFO, "asgi_tasks")
    runs = []
    delivery = stage.deliver(task, lambda: runs.append(1))
    waiter = stage.start(delivery)
    await slow_receiver.entered()
    waiter.cancel()
    await asyncio.wait([waiter])
    late = replace(_again(delivery), received=delivery.received - 1000)
    redelivery = await stage.run(late)
    slow_receiver.open()
    await stage.settled()
    assert (redelivery.outcome, runs) == (Outcome.SUCCEEDED, [1])
    outcomes = [r.outcome for r in caplog.records if r.name == "asgi_tasks"]
    assert outcomes == ["succeeded", "succeeded"]


async def test_joiner_of_a_coroutine_that_was_cancelled_is_told_of_an_interruption(stage):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def do():
        try:
            await asyncio.Event().wait()
        finally:
            entered.set()
            await leave.wait()

    delivery = stage.deliver(act, do)
    first = stage.start(delivery)
    await stage.drained()
    first.cancel()
    await entered.wait()
    joiner = stage.start(_again(delivery))
    await stage.drained()
    leave.set()
    assert (await joiner).outcome is Outcome.INTERRUPTED


async def test_redelivery_after_a_failure_nobody_was_told_of_runs_again(stage):
    gate = Gate()

    def do():
        gate.wait()
        raise ValueError

    delivery = stage.deliver(act_sync, do)
    await _leave(stage, delivery, gate, "times out")
    gate.open()
    await stage.settled()
    await stage.run(_again(delivery))
    assert gate.runs == 2


async def test_sync_task_nobody_waits_for_never_starts(stage):
    stage.lanes, gate, ran = Lanes(1), Gate(), []
    blocker = Borrower(stage.lanes).submit(gate.wait)
    waiter = stage.start(stage.deliver(act_sync, lambda: ran.append(1)))
    await stage.drained()
    waiter.cancel()
    await asyncio.wait([waiter])
    gate.open()
    blocker.result(LONG)
    Borrower(stage.lanes).submit(int).result(LONG)
    assert ran == []


async def test_joiner_of_a_run_given_up_without_a_lane_is_told_so(stage):
    stage.lanes, gate = Lanes(1), Gate()
    blocker = Borrower(stage.lanes).submit(gate.wait)
    delivery = stage.deliver(act_sync, lambda: None, timeout=0.02)
    joiner = stage.start(replace(delivery, received=delivery.received + 1000))
    first = stage.start(delivery)
    outcomes = [(await waiter).outcome for waiter in (first, joiner)]
    gate.open()
    blocker.result(LONG)
    assert outcomes == [Outcome.NO_LANE] * 2


@both_kinds
async def test_joiner_with_the_earlier_deadline_is_answered_by_it(stage, task):
    gate = Gate()
    delivery = stage.deliver(task, gate.pass_by(task))
    first = stage.start(delivery)
    await gate.entered()
    joiner = await stage.run(replace(delivery, received=delivery.received - 1000))
    gate.open()
    assert (joiner.outcome, (await first).outcome) == (Outcome.TIMED_OUT, Outcome.SUCCEEDED)


async def test_same_id_of_two_tasks_are_two_runs(stage):
    gate = Gate()
    one, other = stage.deliver(act_sync, gate.wait), stage.deliver(act, lambda: "other")
    running = stage.start(one)
    await gate.entered()
    message = replace(other.message, task_id=one.message.task_id)
    assert (await stage.run(replace(other, message=message))).result == "other"
    redelivery = stage.start(_again(one))  # still joins its own
    await stage.drained()
    gate.open()
    assert [(await run).result for run in (running, redelivery)] == ["through"] * 2
    assert gate.runs == 1


@both_kinds
async def test_same_id_of_two_messages_are_two_runs(stage, task):
    gate = Gate()
    one, other = stage.deliver(task, gate.pass_by(task)), stage.deliver(task, lambda: "other")
    running = stage.start(one)
    await gate.entered()
    message = replace(other.message, task_id=one.message.task_id)
    report = await stage.run(replace(other, message=message))
    gate.open()
    assert [report.result, (await running).result] == ["other", "through"]


async def test_same_id_in_two_loops_are_two_runs(stage):
    gate = Gate()
    one = stage.deliver(act, gate.await_)
    running = stage.start(one)
    await gate.entered()

    acts[one.message.args[0]] = lambda: "other"
    report = await asyncio.to_thread(asyncio.run, stage.run(_again(one)))
    gate.open()
    assert [report.result, (await running).result] == ["other", "through"]


# Lanes


async def test_sleeping_coroutines_do_not_keep_others_from_a_lane(stage):
    """Held for the whole push, two lanes would let two of these in."""
    stage.lanes, ready, everybody = Lanes(2), [], asyncio.Event()

    async def do():
        await sync_to_async(ready.append)(1)
        if len(ready) == 50:
            everybody.set()
        await everybody.wait()

    deliveries = [stage.deliver(act, do) for _ in range(50)]
    reports = await asyncio.gather(*map(stage.run, deliveries))
    assert {report.outcome for report in reports} == {Outcome.SUCCEEDED}


@both_kinds
async def test_task_runs_in_no_more_threads_than_lanes(stage, task):
    stage.lanes, threads = Lanes(2), set()

    def call():
        threads.add(threading.get_ident())

    do = call if task is act_sync else sync_to_async(call)
    await asyncio.gather(*(stage.run(stage.deliver(task, do)) for _ in range(50)))
    assert len(threads - {threading.get_ident()}) <= 2


async def test_nested_bridges_in_one_lane_do_not_deadlock(stage):
    stage.lanes = Lanes(1)

    async def inner():
        return await sync_to_async(threading.get_ident)()

    def do():
        return async_to_sync(inner)() == threading.get_ident()

    reports = await asyncio.gather(*(stage.run(stage.deliver(act_sync, do)) for _ in range(10)))
    assert [report.result for report in reports] == [True] * 10


async def test_cancelled_bridge_of_a_stopped_sync_task_is_no_failure(stage, heard, caplog):
    """Shutdown cancels every task of the loop, and with it what the thread waits for."""
    gate = Gate()
    before = asyncio.all_tasks()
    waiter = stage.start(stage.deliver(act_sync, async_to_sync(gate.await_)))
    await gate.entered()
    for running in asyncio.all_tasks() - before:
        running.cancel()
    await asyncio.wait([waiter])
    await stage.settled()
    assert [name for name, *_ in heard] == ["started"]
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


def _again(delivery):
    """A redelivery that has just arrived, with the usual time to answer it."""
    route = TaskRoute(delivery.route.task)
    received = asyncio.get_running_loop().time()
    return replace(delivery, route=route, attempt=delivery.attempt + 1, received=received)


async def _leave(stage, delivery, gate, how):
    """The push of a running sync task ends before the task does."""
    if how == "is cancelled":
        waiter = stage.start(delivery)
        await gate.entered()
        waiter.cancel()
        await asyncio.wait([waiter])
    else:
        waiter = stage.start(replace(delivery, route=TaskRoute(act_sync, timeout=0.2)))
        await gate.entered()
        assert (await waiter).outcome is Outcome.TIMED_OUT
