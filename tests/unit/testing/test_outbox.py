import asyncio
import re

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.tasks import TaskResultStatus

from asgi_tasks import EnqueueRefused, EnqueueUnconfirmed, InvalidArguments, RouteNotFound
from asgi_tasks.testing import EndlessTasks, NotAcknowledged, TaskOutbox
from tests.site import tasks

# What is enqueued


@pytest.fixture(params=["enqueue", "aenqueue"])
def enqueue(request):
    def enqueue(task, *args, **kwargs):
        if request.param == "enqueue":
            return task.enqueue(*args, **kwargs)
        return async_to_sync(task.aenqueue)(*args, **kwargs)

    return enqueue


def test_outbox_holds_what_was_enqueued_in_its_order(task_outbox, enqueue):
    sent = [enqueue(tasks.add, 1, b=2), enqueue(tasks.add_sync, 3, 4)]
    assert [result.id for result in task_outbox] == [result.id for result in sent]
    assert [result.task for result in task_outbox] == [tasks.add, tasks.add_sync]
    assert (task_outbox[0].args, task_outbox[0].kwargs) == ([1], {"b": 2})
    assert task_outbox[-1].status is TaskResultStatus.READY


def test_for_task_gives_those_of_one_task(task_outbox):
    tasks.add.enqueue(1, 2)
    tasks.add_sync.enqueue(3, 4)
    tasks.add.enqueue(5, 6)
    assert [result.args for result in task_outbox.for_task(tasks.add)] == [[1, 2], [5, 6]]


@pytest.mark.parametrize("time", ["first", "second"])
def test_outbox_is_empty_at_first(task_outbox, time):
    assert not task_outbox
    tasks.add.enqueue(1, 2)


def test_enqueue_checks_arguments_as_in_production(task_outbox, enqueue):
    with pytest.raises(InvalidArguments):
        enqueue(tasks.add, 1, c=2)
    with pytest.raises(InvalidArguments):
        enqueue(tasks.add, 1, b=object())
    assert not task_outbox


def test_enqueue_asks_for_a_route_as_in_production(task_outbox, enqueue, settings):
    settings.TASKS = with_options(settings, routes="tests.unit.testing.routes.task_routes")
    enqueue(tasks.add, 1, 2)
    with pytest.raises(RouteNotFound):
        enqueue(tasks.add_sync, 1, 2)


@pytest.mark.parametrize(
    ("maybe_published", "error"), [(False, EnqueueRefused), (True, EnqueueUnconfirmed)]
)
def test_refusing_has_enqueue_fail(task_outbox, enqueue, maybe_published, error):
    with task_outbox.refusing(maybe_published=maybe_published), pytest.raises(error):
        enqueue(tasks.add, 1, 2)
    assert not task_outbox
    enqueue(tasks.add, 1, 2)
    assert len(task_outbox) == 1


def with_options(settings, **options):
    tasks = settings.TASKS["default"]
    return {"default": {**tasks, "OPTIONS": {**tasks["OPTIONS"], **options}}}


# Assertions


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1,), {}), ((1, 2), {}), ((), {"b": 2}), ((1,), {"b": 2}), ((), {"a": 1, "b": 2})],
)
def test_assert_enqueued_compares_the_arguments_that_are_given(task_outbox, args, kwargs):
    tasks.add.enqueue(1, b=2)
    task_outbox.assert_enqueued(tasks.add, *args, **kwargs)
    with pytest.raises(AssertionError):
        task_outbox.assert_not_enqueued(tasks.add, *args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((2,), {}), ((1, 1), {}), ((), {"b": 1}), ((), {"a": 1, "b": None})]
)
def test_assert_enqueued_fails_for_other_arguments(task_outbox, args, kwargs):
    tasks.add.enqueue(1, b=2)
    with pytest.raises(AssertionError):
        task_outbox.assert_enqueued(tasks.add, *args, **kwargs)
    task_outbox.assert_not_enqueued(tasks.add, *args, **kwargs)


def test_assert_enqueued_compares_as_json_has_it(task_outbox):
    tasks.add.enqueue((1, 2), b={"x": (3,)})
    task_outbox.assert_enqueued(tasks.add, (1, 2), {"x": (3,)})


def test_assert_enqueued_knows_variable_arguments(task_outbox):
    tasks.echo.enqueue(1, 2, key="value")
    task_outbox.assert_enqueued(tasks.echo, 1, 2)
    task_outbox.assert_enqueued(tasks.echo, key="value")
    task_outbox.assert_not_enqueued(tasks.echo, key="other")


def test_assert_enqueued_leaves_out_the_context(task_outbox):
    tasks.fail_twice.enqueue("k")
    task_outbox.assert_enqueued(tasks.fail_twice, key="k")


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_assert_enqueued_counts(task_outbox, count):
    tasks.add.enqueue(1, 2)
    tasks.add.enqueue(1, 3)
    if count == 2:
        task_outbox.assert_enqueued(tasks.add, 1, count=count)
    else:
        with pytest.raises(AssertionError, match=rf"enqueued 2 times, not ({count} times|once)\."):
            task_outbox.assert_enqueued(tasks.add, 1, count=count)


def test_arguments_that_the_task_does_not_take_are_a_mistake(task_outbox):
    with pytest.raises(TypeError, match=r"tests\.site\.tasks\.add: got an unexpected"):
        task_outbox.assert_not_enqueued(tasks.add, c=1)


def test_failure_shows_what_was_enqueued_instead(task_outbox):
    tasks.add.enqueue(1, b=2)
    tasks.give_up.enqueue()
    with pytest.raises(AssertionError) as failure:
        task_outbox.assert_enqueued(tasks.add_sync, a=1)
    assert str(failure.value) == (
        "tests.site.tasks.add_sync(a=1) was not enqueued. Enqueued were:\n"
        "  tests.site.tasks.add(1, b=2)\n"
        "  tests.site.tasks.give_up()"
    )


def test_failure_says_that_nothing_was_enqueued(task_outbox):
    with pytest.raises(AssertionError) as failure:
        task_outbox.assert_enqueued(tasks.add)
    assert str(failure.value) == "tests.site.tasks.add was not enqueued. Nothing was enqueued."


def test_failure_and_repr_stay_short(task_outbox):
    for _ in range(30):
        tasks.echo.enqueue("x" * 10_000)
    with pytest.raises(AssertionError) as failure:
        task_outbox.assert_not_enqueued(tasks.echo)
    assert len(str(failure.value)) < 5_000
    assert "and 10 more" in str(failure.value)
    assert len(repr(task_outbox)) < 5_000


# Running


@pytest.fixture(params=["sync", "async"])
def run(request, task_outbox):
    if request.param == "sync":
        return task_outbox.run_enqueued
    return async_to_sync(task_outbox.arun_enqueued)


@pytest.mark.parametrize("task", [tasks.add, tasks.add_sync])
def test_answers_tell_how_the_tasks_ended(run, task):
    sent = [task.enqueue(1, number) for number in range(3)]
    answers = run()
    assert [answer.result for answer in answers] == [1, 2, 3]
    assert [answer.task_id for answer in answers] == [result.id for result in sent]
    assert {(a.task, a.attempt, a.status, a.outcome, a.exception) for a in answers} == {
        (task, 1, 204, "succeeded", None)
    }


@pytest.mark.parametrize(
    ("fan_out", "add"), [(tasks.fan_out, tasks.add), (tasks.fan_out_sync, tasks.add_sync)]
)
def test_tasks_enqueued_by_tasks_are_run(task_outbox, run, fan_out, add):
    fan_out.enqueue([1, 2])
    assert [answer.task for answer in run()] == [fan_out, add, add]
    task_outbox.assert_enqueued(add, count=2)
    assert run() == []


def test_error_of_a_task_is_raised(run):
    tasks.fail.enqueue()
    tasks.add.enqueue(1, 2)
    with pytest.raises(ValueError, match="always") as raised:
        run()
    assert raised.value.__notes__ == [
        "asgi_tasks: the push of tests.site.tasks.fail, attempt 1, was answered with 500"
    ]


def test_error_is_the_task_s_own_though_its_traceback_is_cut(run):
    tasks.fail_at_length.enqueue()
    with pytest.raises(ValueError, match="at length"):
        run()


def test_errors_are_in_the_answers_on_request(run):
    tasks.fail.enqueue()
    tasks.add.enqueue(1, 2)
    failed, succeeded = run(raise_errors=False)
    assert (failed.status, failed.outcome, failed.is_acknowledged) == (500, "failed", False)
    assert repr(failed.exception) == "ValueError('always')"
    assert (succeeded.status, succeeded.is_acknowledged) == (204, True)


def test_discard_is_no_error(run):
    tasks.give_up.enqueue()
    [answer] = run()
    assert (answer.status, answer.outcome) == (204, "discarded")
    assert str(answer.exception) == "nothing to do"


def test_result_that_is_not_json_is_an_error_though_acknowledged(run):
    tasks.return_object.enqueue()
    with pytest.raises(TypeError):
        run()
    assert run() == []


@pytest.mark.parametrize("task", [tasks.fail_twice, tasks.fail_twice_sync])
def test_failed_task_comes_again_with_the_next_call(run, task):
    task.enqueue("k")
    attempts = [(answer.attempt, answer.status) for _ in range(4) for answer in run_quietly(run)]
    assert attempts == [(1, 500), (2, 500), (3, 204)]


def run_quietly(run):
    return run(raise_errors=False)


def test_failed_task_comes_no_more_often_than_its_route_says(run):
    tasks.fail.enqueue()  # max_delivery_attempts=5
    assert [len(run_quietly(run)) for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]


def test_task_behind_one_that_raised_is_run_by_the_next_call(run):
    tasks.fail.enqueue()
    tasks.add.enqueue(1, 2)
    with pytest.raises(ValueError, match="always"):
        run()
    assert [answer.task for answer in run_quietly(run)] == [tasks.fail, tasks.add]


def test_task_that_overruns_its_timeout_is_an_error(run_enqueued):
    tasks.wait_sync.enqueue(1.1)  # timeout=1
    with pytest.raises(NotAcknowledged, match=r"was answered with 504: the task timed out"):
        run_enqueued()


def test_tasks_without_end_are_stopped(run):
    tasks.fan_out.enqueue(list(range(20)))
    with pytest.raises(EndlessTasks, match=re.escape("10 tasks have run, and more are enqueued")):
        run(max_runs=10)


def test_clear_forgets_what_was_enqueued_and_what_is_to_run(task_outbox, run):
    tasks.add.enqueue(1, 2)
    task_outbox.clear()
    assert run() == []
    assert not task_outbox


async def test_run_enqueued_on_the_event_loop_says_what_to_use(run_enqueued):
    with pytest.raises(SynchronousOnlyOperation, match="use await arun_enqueued"):
        run_enqueued()


async def test_tasks_do_not_stop_the_event_loop_of_the_test(task_outbox, arun_enqueued):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await tasks.wait.aenqueue(0.01)
    await arun_enqueued()
    counting.cancel()
    assert turns > 1


def test_fixtures_are_of_one_outbox(task_outbox, run_enqueued, arun_enqueued):
    assert isinstance(task_outbox, TaskOutbox)
    assert run_enqueued == task_outbox.run_enqueued
    assert arun_enqueued == task_outbox.arun_enqueued
