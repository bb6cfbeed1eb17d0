import asyncio
import contextlib
import gc
import threading
import time
import weakref

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections
from django.db.transaction import TransactionManagementError, atomic
from django.db.utils import OperationalError

from asgi_tasks.lanes import Borrower, Lanes, get_lanes
from tests.processes import python

LONG = 10  # seconds until a test gives up; nothing waits that long


def thread_of():
    return threading.get_ident()


async def borrow(lanes, function, *, calls=1):
    """As a run does: some calls, with a lane for each."""

    async def run():
        with Borrower(lanes):
            return [await sync_to_async(function)() for _ in range(calls)]

    return await asyncio.create_task(run())


class Blocker:
    """A call that stays in its lane until it is let go."""

    def __init__(self, executor):
        self.started = threading.Event()
        self.let_go = threading.Event()
        self.future = executor.submit(self._run)

    def _run(self):
        self.started.set()
        assert self.let_go.wait(LONG)


@pytest.fixture
def blocked():
    """Make blockers; the test's end lets them go."""
    made = []

    def make(executor):
        made.append(Blocker(executor))
        return made[-1]

    yield make
    for blocker in made:
        blocker.let_go.set()
        if not blocker.future.cancelled():
            blocker.future.result(LONG)


# Threads


async def test_200_borrowers_use_no_more_threads_than_lanes():
    lanes = Lanes(3)
    threads = await asyncio.gather(*(borrow(lanes, thread_of, calls=3) for _ in range(200)))
    assert len({thread for calls in threads for thread in calls}) <= 3


async def test_all_lanes_work_at_the_same_time():
    lanes, barrier = Lanes(4), threading.Barrier(4)
    await asyncio.gather(*(borrow(lanes, lambda: barrier.wait(LONG)) for _ in range(4)))


async def test_borrower_between_two_calls_holds_no_lane():
    lanes, paused, resume = Lanes(1), asyncio.Event(), asyncio.Event()

    async def pausing():
        with Borrower(lanes):
            await sync_to_async(thread_of)()
            paused.set()
            await resume.wait()
            return await sync_to_async(thread_of)()

    other = asyncio.create_task(pausing())
    await paused.wait()
    assert await borrow(lanes, thread_of)
    resume.set()
    assert await other


async def test_borrowers_that_never_call_start_no_thread():
    lanes, before = Lanes(4), threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(Borrower(lanes))
        assert threading.active_count() == before
    assert threading.active_count() == before


def test_calls_of_one_borrower_run_one_at_a_time_and_in_order():
    borrower, order, inside = Borrower(Lanes(4)), [], []

    def call(number):
        inside.append(number)
        order.append((number, len(inside)))
        inside.remove(number)

    for future in [borrower.submit(call, number) for number in range(50)]:
        future.result(LONG)
    assert order == [(number, 1) for number in range(50)]


def test_second_call_of_a_borrower_waits_although_a_lane_is_free(blocked):
    lanes = Lanes(2)
    borrower = Borrower(lanes)
    blocker = blocked(borrower)
    assert blocker.started.wait(LONG)
    second = borrower.submit(thread_of)
    Borrower(lanes).submit(thread_of).result(LONG)
    assert not second.done()
    blocker.let_go.set()
    assert second.result(LONG)


def test_borrowers_are_served_in_the_order_they_came(blocked):
    lanes, order = Lanes(1), []
    blocker = blocked(Borrower(lanes))
    futures = [Borrower(lanes).submit(order.append, number) for number in range(20)]
    blocker.let_go.set()
    for future in futures:
        future.result(LONG)
    assert order == list(range(20))


def test_borrower_with_many_calls_takes_turns_with_the_others(blocked):
    lanes, order = Lanes(1), []
    blocker = blocked(Borrower(lanes))
    greedy, modest = Borrower(lanes), Borrower(lanes)
    futures = [greedy.submit(order.append, "greedy") for _ in range(3)]
    futures.append(modest.submit(order.append, "modest"))
    blocker.let_go.set()
    for future in futures:
        future.result(LONG)
    assert order == ["greedy", "modest", "greedy", "greedy"]


def test_borrower_comes_back_to_the_lane_it_knows():
    lanes = Lanes(4)
    first, second = Borrower(lanes), Borrower(lanes)
    gate = threading.Barrier(2)

    def meet():
        gate.wait(LONG)
        return thread_of()

    futures = [first.submit(meet), second.submit(meet)]
    threads = [future.result(LONG) for future in futures]
    again = [borrower.submit(thread_of).result(LONG) for borrower in (second, first) * 3]
    assert again == [threads[1], threads[0]] * 3


# Errors and cancellation


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError]
)
def test_error_of_a_call_reaches_its_caller(error):
    def fail():
        raise error("mine")

    with pytest.raises(error):
        Borrower(Lanes(1)).submit(fail).result(LONG)


def test_lane_lives_on_after_an_error():
    lanes = Lanes(1)

    def fail():
        raise SystemExit

    assert isinstance(Borrower(lanes).submit(fail).exception(LONG), SystemExit)
    assert Borrower(lanes).submit(thread_of).result(LONG)


def test_cancelled_call_never_runs(blocked):
    lanes, ran = Lanes(1), []
    blocker = blocked(Borrower(lanes))
    waiting = Borrower(lanes).submit(ran.append, "cancelled")
    assert waiting.cancel()
    blocker.let_go.set()
    Borrower(lanes).submit(ran.append, "next").result(LONG)
    assert ran == ["next"]


async def test_cancelled_coroutine_does_not_wait_for_its_lane(blocked):
    lanes = Lanes(1)
    blocked(Borrower(lanes)).started.wait(LONG)
    waiting = asyncio.create_task(borrow(lanes, thread_of))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_error_of_a_call_needs_no_garbage_collector():
    class Mine(ValueError):
        pass

    def fail():
        raise Mine

    lanes = Lanes(1)
    gc.disable()
    try:
        future = Borrower(lanes).submit(fail)
        error = weakref.ref(future.exception(LONG))
        del future
        Borrower(lanes).submit(thread_of).result(LONG)  # the lane has left the first call
        assert error() is None
    finally:
        gc.enable()


# Bridges


async def test_nested_bridges_keep_their_thread():
    def outer():
        return thread_of(), async_to_sync(inner)()

    async def inner():
        return await sync_to_async(thread_of)()

    (threads,) = await borrow(Lanes(1), outer)
    assert threads[0] == threads[1]


async def test_as_many_nested_bridges_as_you_like_do_not_deadlock():
    lanes = Lanes(2)

    def outer():
        return async_to_sync(inner)()

    async def inner():
        return await asyncio.gather(*(sync_to_async(thread_of)() for _ in range(5)))

    async with asyncio.timeout(LONG):
        results = await asyncio.gather(*(borrow(lanes, outer) for _ in range(20)))
    assert len(results) == 20


async def test_gathered_calls_of_one_borrower_do_not_deadlock():
    with Borrower(Lanes(1)):
        async with asyncio.timeout(LONG):
            threads = await asyncio.gather(*(sync_to_async(thread_of)() for _ in range(50)))
    assert len(set(threads)) == 1


async def test_asyncio_task_that_outlives_its_run_is_told_so():
    over = asyncio.Event()

    async def outlive():
        await over.wait()
        await sync_to_async(thread_of)()

    with Borrower(Lanes(1)):
        outliving = asyncio.create_task(outlive())
    over.set()
    with pytest.raises(RuntimeError, match="The run of this asyncio task is over"):
        await outliving


async def test_run_in_the_context_of_another_thread_s_bridge_calls_in_its_lanes():
    loop, lanes = asyncio.get_running_loop(), Lanes(1)

    async def hand_on():
        future = asyncio.run_coroutine_threadsafe(borrow(lanes, thread_of, calls=3), loop)
        return await asyncio.wrap_future(future)

    assert len(set(await asyncio.to_thread(async_to_sync(hand_on)))) == 1


def test_run_within_a_bridge_calls_in_its_lanes_and_the_bridge_in_its_own_thread_again():
    async def run():
        (lane,) = await borrow(Lanes(1), thread_of)
        return lane, await sync_to_async(thread_of)()

    lane, again = async_to_sync(run)()
    assert lane != threading.get_ident() == again


# Database connections


class Database:
    """A database in a file, and one lane whose connection's end can be waited for."""

    def __init__(self, alias):
        self.alias = alias
        self.lanes = Lanes(1)
        self.closed = threading.Event()
        self._made = []
        self.borrower().submit(self._watch).result(LONG)
        self._made.pop().release()
        assert self.closed.wait(LONG)
        self.closed.clear()

    def borrower(self):
        self._made.append(Borrower(self.lanes))
        return self._made[-1]

    def close(self):
        for borrower in self._made:
            borrower.release()
        Borrower(self.lanes).submit(self._discard).result(LONG)

    def wait_until_idle(self):
        until = time.monotonic() + LONG
        while not self.lanes.use().idle:
            assert time.monotonic() < until
            time.sleep(0.001)

    def _watch(self):
        close = self.connection.close
        self.query()

        def watched():
            close()
            self.closed.set()

        self.connection.close = watched

    def _discard(self):
        type(self.connection).close(self.connection)
        del connections[self.alias]

    @property
    def connection(self):
        return connections[self.alias]

    # Calls for a lane:

    def query(self):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return id(self.connection.connection)

    def fail(self):
        with pytest.raises(OperationalError), self.connection.cursor() as cursor:
            cursor.execute("SELECT nonsense")

    def state(self):
        """What a call finds at its start: nothing of a transaction."""
        is_autocommit = self.connection.get_autocommit()
        is_open = self.connection.in_atomic_block or self.connection.connection.in_transaction
        return is_autocommit, is_open

    def begin(self):
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")

    def turn_autocommit_off(self):
        self.connection.set_autocommit(False)

    def enter_atomic(self):
        atomic(self.alias).__enter__()

    def close_in_atomic(self):
        self.enter_atomic()
        self.connection.close()

    def close_in_atomic_as_a_pool_does(self):
        self.close_in_atomic()
        self.connection.connection = None

    def begin_and_fail(self):
        self.begin()
        raise KeyError("mine")

    def lose_transaction(self):
        """As when the server goes away: it cannot even be rolled back."""
        self.turn_autocommit_off()
        self.connection.connection.close()

    def open_cursor(self):
        cursor = self.connection.cursor()
        cursor.execute("SELECT 1 UNION SELECT 2")
        return cursor


@pytest.fixture
def database(tmp_path, monkeypatch, django_db_blocker):
    default = connections.settings["default"]
    # CONN_MAX_AGE as by default: a connection ends with its request.
    settings = default | {"NAME": str(tmp_path / "lanes.sqlite3"), "CONN_MAX_AGE": 0}
    monkeypatch.setitem(connections.settings, "lanes", settings)
    with django_db_blocker.unblock():
        database = Database("lanes")
        yield database
        database.close()


def test_connection_is_kept_while_one_user_is_left(database):
    first, second = database.borrower(), database.borrower()
    connection = first.submit(database.query).result(LONG)
    second.submit(database.query).result(LONG)
    first.release()
    database.wait_until_idle()  # it closes what it may on its way
    assert second.submit(database.query).result(LONG) == connection


def test_connection_is_closed_when_the_last_user_has_gone(database):
    first, second = database.borrower(), database.borrower()
    first.submit(database.query).result(LONG)
    second.submit(database.query).result(LONG)
    first.release()
    second.release()
    assert database.closed.wait(LONG)


def test_cursor_stays_open_while_other_runs_come_and_go(database):
    reader, other = database.borrower(), database.borrower()
    cursor = reader.submit(database.open_cursor).result(LONG)
    other.submit(database.query).result(LONG)
    other.release()
    assert reader.submit(cursor.fetchall).result(LONG) == [(1,), (2,)]


def test_cursor_stays_open_after_another_run_had_an_error(database):
    reader, failing, other = (database.borrower() for _ in range(3))
    cursor = reader.submit(database.open_cursor).result(LONG)
    failing.submit(database.fail).result(LONG)
    other.submit(database.query).result(LONG)
    assert reader.submit(cursor.fetchall).result(LONG) == [(1,), (2,)]


def test_broken_connection_is_closed_for_the_next_run(database):
    def spoil():
        database.query()
        database.connection.errors_occurred = True
        database.connection.is_usable = lambda: False  # SQLite's always is

    database.borrower().submit(spoil).result(LONG)
    database.borrower().submit(thread_of).result(LONG)
    assert database.closed.is_set()


def test_broken_connection_is_closed_for_a_run_that_comes_back(database):
    first, second = database.borrower(), database.borrower()
    first.submit(database.query).result(LONG)

    def spoil():
        database.connection.errors_occurred = True
        database.connection.is_usable = lambda: False  # SQLite's always is

    second.submit(spoil).result(LONG)
    assert database.closed.is_set()
    assert first.submit(database.query).result(LONG)


def test_connection_that_works_after_an_error_is_not_asked_again(database):
    user, asked = database.borrower(), []
    user.submit(database.query).result(LONG)

    def watch():
        database.connection.is_usable = lambda: asked.append(True) or True

    user.submit(watch).result(LONG)
    user.submit(database.fail).result(LONG)
    user.submit(database.query).result(LONG)
    assert asked == [True]


def test_health_of_a_shared_connection_is_checked_for_each_run(database):
    keeper, asked = database.borrower(), []

    def watch():
        database.query()
        database.connection.health_check_enabled = True
        database.connection.is_usable = lambda: asked.append(True) or True

    keeper.submit(watch).result(LONG)
    for _ in range(2):
        run = database.borrower()
        for _ in range(3):
            run.submit(database.query).result(LONG)
        run.release()
    assert asked == [True, True]


OPENING = [
    "begin",
    "turn_autocommit_off",
    "enter_atomic",
    "close_in_atomic",
    "close_in_atomic_as_a_pool_does",
    "lose_transaction",
]


@pytest.mark.parametrize("leave", OPENING)
def test_call_that_leaves_a_transaction_open_fails(database, leave):
    keeper = database.borrower()
    keeper.submit(database.query).result(LONG)
    with pytest.raises(TransactionManagementError, match="was left open, and rolled back: lanes"):
        database.borrower().submit(getattr(database, leave)).result(LONG)
    assert database.borrower().submit(database.state).result(LONG) == (True, False)


def test_error_of_a_call_that_leaves_a_transaction_open_is_its_own(database):
    keeper = database.borrower()
    keeper.submit(database.query).result(LONG)
    with pytest.raises(KeyError, match="mine"):
        database.borrower().submit(database.begin_and_fail).result(LONG)
    assert database.borrower().submit(database.state).result(LONG) == (True, False)


@pytest.mark.parametrize("leave", ["begin", "turn_autocommit_off", "enter_atomic"])
def test_cursor_of_another_run_survives_a_transaction_left_open(database, leave):
    reader = database.borrower()
    cursor = reader.submit(database.open_cursor).result(LONG)
    failing = database.borrower().submit(getattr(database, leave))
    assert isinstance(failing.exception(LONG), TransactionManagementError)
    assert reader.submit(cursor.fetchall).result(LONG) == [(1,), (2,)]


def test_transactions_are_the_callers_where_autocommit_is_off_by_the_settings(database):
    def turn_off():
        database.query()
        database.connection.settings_dict["AUTOCOMMIT"] = False
        database.turn_autocommit_off()

    try:
        database.borrower().submit(turn_off).result(LONG)
    finally:
        database.borrower().submit(restore(database)).result(LONG)


def restore(database):
    def restore():
        database.connection.set_autocommit(True)
        database.connection.settings_dict["AUTOCOMMIT"] = True

    return restore


def test_connection_is_closed_although_a_call_was_cancelled_in_the_queue(database, blocked):
    """The borrower of that call is released before its turn: no user of the lane, ever."""
    user, gone = database.borrower(), database.borrower()
    user.submit(database.query).result(LONG)
    blocker = blocked(user)
    gone.submit(thread_of).cancel()
    gone.release()
    blocker.let_go.set()
    user.submit(thread_of).result(LONG)  # `gone` had its turn before
    user.release()
    assert database.closed.wait(LONG)


def test_connection_is_closed_after_a_call_that_outlived_its_run(database, blocked):
    user = database.borrower()
    user.submit(database.query).result(LONG)
    blocker = blocked(user)
    assert blocker.started.wait(LONG)
    user.release()
    blocker.let_go.set()
    assert database.closed.wait(LONG)


def test_connection_is_closed_after_a_call_that_comes_after_the_release(database):
    late = database.borrower()
    late.release()
    late.submit(database.query).result(LONG)
    assert database.closed.wait(LONG)


def test_lane_lives_on_when_a_connection_cannot_be_closed(database, caplog):
    def spoil():
        database.query()
        database.connection.close = fail

    def fail():
        raise OperationalError("the server is gone")

    user = database.borrower()
    user.submit(spoil).result(LONG)
    user.release()
    assert database.borrower().submit(thread_of).result(LONG)
    assert "'lanes' could not be closed" in caplog.text


# The process


def test_lanes_of_the_process_are_the_same_at_each_call():
    assert get_lanes(5) is get_lanes(5)


def test_forked_child_has_lanes_of_its_own():
    assert python("-c", FORK).strip() == "0"


FORK = """
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
from asgi_tasks.lanes import Borrower, get_lanes

def run():
    return Borrower(get_lanes(1)).submit(os.getpid).result(10)

assert run() == os.getpid()
child = os.fork()
if child == 0:
    os._exit(0 if run() == os.getpid() else 1)
_, status = os.waitpid(child, 0)
assert run() == os.getpid()
print(os.waitstatus_to_exitcode(status))
"""
