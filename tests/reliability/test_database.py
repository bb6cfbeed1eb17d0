"""A database that is away, is cut off, is full or is locked: what is delivered again heals it."""

import contextlib
import os
import signal
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.postgres import PostgresMissing, own_postgres
from tests.reliability.faults import (
    activity,
    count_users,
    effect,
    faulty_site,
    open_gate,
    settled,
    statuses,
    users,
    waiting_for_locks,
)

OUT_OF_REACH = "found its database out of reach"
MANY = 200

both_kinds = pytest.mark.parametrize("task", ["work", "work_sync"])


@pytest.fixture(scope="module")
def postgres():
    try:
        with own_postgres() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def site(postgres, tmp_path_factory):
    """The site on PostgreSQL."""
    with faulty_site(tmp_path_factory.mktemp("site"), database=postgres.url) as site:
        yield site


@pytest.fixture(scope="module")
def pool_site(postgres, tmp_path_factory):
    """With a pool of one connection, for which it does not wait long."""
    options = {"pool": {"min_size": 1, "max_size": 1, "timeout": 0.5}}
    folder = tmp_path_factory.mktemp("pool")
    with faulty_site(folder, database=postgres.url, options=options) as site:
        yield site


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    """The site on SQLite, which does not wait long for a lock; and the folder of the database."""
    folder = tmp_path_factory.mktemp("sqlite")
    database = folder / "data"
    database.mkdir()
    url = f"sqlite:///{database}/db.sqlite3"
    with faulty_site(folder, database=url, options={"timeout": 0.2}) as site:
        yield site, database


@pytest.fixture
def key():
    return uuid.uuid4().hex


@contextlib.contextmanager
def stopped(postgres):
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


def terminate(postgres, pid):
    with psycopg.connect(postgres.url) as database:
        database.execute("SELECT pg_terminate_backend(%s)", [pid])


def kill(postgres, pid):
    """The server takes it for a crash, cuts everybody off and recovers."""
    os.kill(pid, signal.SIGKILL)


# Away


@both_kinds
def test_task_is_unavailable_while_its_database_is_away(site, postgres, task, key):
    with stopped(postgres):
        task_id = site.enqueue(task, do="insert", key=key)
        site.wait_until(lambda: statuses(site, task_id).count(503) >= 2)
    *before, last = settled(site, task_id)[0]
    assert (set(before), last) == ({503}, 204)
    assert len(users(postgres.url, key)) == 1
    site.process.wait_for(f"Task {task} {OUT_OF_REACH} in .* id={task_id}")


@both_kinds
def test_pool_without_its_database_is_unavailable(pool_site, postgres, task, key):
    with stopped(postgres):
        task_id = pool_site.enqueue(task, do="insert", key=key)
        pool_site.wait_until(lambda: 503 in statuses(pool_site, task_id))
    *before, last = settled(pool_site, task_id)[0]
    # The pool may have kept a connection that turns out to be dead: 500.
    assert (set(before) | {500}, last) == ({500, 503}, 204)
    assert len(users(postgres.url, key)) == 1


@both_kinds
def test_task_is_unavailable_while_sqlite_cannot_be_opened(sqlite, task, key):
    site, folder = sqlite
    away = folder.rename(folder.with_name("away"))
    try:
        task_id = site.enqueue(task, do="insert", key=key)
        site.wait_until(lambda: 503 in statuses(site, task_id))
    finally:
        away.rename(folder)
    *before, last = settled(site, task_id)[0]
    assert (set(before), last) == ({503}, 204)
    assert len(users(f"sqlite:///{folder}/db.sqlite3", key)) == 1


# Cut off


# While the server recovers from the kill, atomic() cannot connect at its end, nor the redelivery.
@pytest.mark.parametrize(("cut", "answers"), [(terminate, {500}), (kill, {500, 503})])
@pytest.mark.parametrize("do", ["stall_once", "stall_once_in_atomic"])
@both_kinds
def test_task_whose_connection_is_cut_is_run_again(site, postgres, task, do, cut, answers, key):
    task_id = site.enqueue(task, do=do, key=key)
    cut(postgres, effect(site, "stalls", key)["pid"])
    *before, last = settled(site, task_id)[0]
    assert before
    assert (set(before) | answers, last) == (answers, 204)
    assert len(users(postgres.url, key)) == 1


@pytest.mark.parametrize("kind", ["site", "pool_site"])
def test_database_that_crashes_under_load_loses_nothing(request, kind, postgres, key):
    site = request.getfixturevalue(kind)
    keys = [f"{key[:16]}-{number}" for number in range(MANY)]
    with ThreadPoolExecutor(8) as pool:
        enqueue = [
            pool.submit(
                site.enqueue, ("work", "work_sync")[number % 2], do="insert_slowly", key=one
            )
            for number, one in enumerate(keys)
        ]
        site.wait_until(lambda: activity(postgres.url, site)[0])  # it is at work
        with contextlib.closing(psycopg.connect(postgres.url)) as blocker:
            # No commit is under way, of which nobody would hear whether it was still written.
            blocker.execute("LOCK TABLE auth_user IN SHARE MODE")
            site.wait_until(lambda: waiting_for_locks(postgres.url))
            postgres.stop(signal.SIGQUIT)
        postgres.start()
        task_ids = {future.result() for future in enqueue}
    site.emulator.wait_until_settled(timeout=120)
    messages = [one for one in site.emulator.messages() if one.task_id in task_ids]
    deliveries = [each.status for one in messages for each in one.deliveries]
    print(f"{kind}: {MANY} tasks,", {one: deliveries.count(one) for one in sorted(set(deliveries))})
    assert [one.state for one in messages] == ["acknowledged"] * MANY
    assert set(deliveries) - {204}, "nobody noticed"
    counts = count_users(postgres.url)
    assert [counts[one] for one in keys] == [1] * MANY


# Full, slow, locked


@both_kinds
def test_task_is_unavailable_while_the_pool_is_empty(pool_site, postgres, task, key):
    site = pool_site
    settled(site, site.enqueue(task, do="insert", key=""))  # with no connection of before a crash
    stalled = site.enqueue(task, do="stall_once", key=key)
    pid = effect(site, "stalls", key)["pid"]
    task_id = site.enqueue(task, do="insert", key=f"{key[:20]}-other")
    site.wait_until(lambda: 503 in statuses(site, task_id))
    terminate(postgres, pid)
    (*before, last), (first, *_, healed) = settled(site, task_id, stalled)
    assert (set(before), last) == ({503}, 204)
    assert (first, healed) == (500, 204)
    assert len(users(postgres.url, f"{key[:20]}-other")) == 1


@both_kinds
def test_task_whose_query_takes_too_long_is_run_again(site, postgres, task, key):
    task_id = site.enqueue(task, do="overrun_once", key=key)
    assert settled(site, task_id) == [[500, 204]]
    assert len(users(postgres.url, key)) == 1
    site.process.wait_for("canceling statement due to statement timeout")


@both_kinds
def test_victim_of_a_deadlock_is_run_again(site, postgres, task):
    orders = {uuid.uuid4().hex: (1, 2), uuid.uuid4().hex: (2, 1)}
    keys = list(orders)
    ids = [
        site.enqueue(task, do="lock_two", key=key, numbers=numbers, gate=keys[0])
        for key, numbers in orders.items()
    ]
    for one in keys:
        effect(site, "locked", one)
    open_gate(site, keys[0])
    assert sorted(settled(site, *ids)) == [[204], [500, 204]]
    assert [len(users(postgres.url, one)) for one in keys] == [1, 1]
    site.process.wait_for("deadlock detected")


@both_kinds
def test_task_that_cannot_be_serialized_is_run_again(site, postgres, task, key):
    settled(site, site.enqueue(task, do="insert", key=key))
    task_id = site.enqueue(task, do="update_what_another_updates", key=key)
    effect(site, "read", key)
    with psycopg.connect(postgres.url) as database:
        database.execute("UPDATE auth_user SET last_name = 'ours' WHERE first_name = %s", [key])
    open_gate(site, key)
    assert settled(site, task_id) == [[500, 204]]
    assert users(postgres.url, key) == ["attempt 2"]
    site.process.wait_for("could not serialize access due to concurrent update")


@both_kinds
def test_task_that_finds_sqlite_locked_is_run_again(sqlite, task, key):
    site, folder = sqlite
    path = folder / "db.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        task_id = site.enqueue(task, do="insert", key=key)
        site.wait_until(lambda: 500 in statuses(site, task_id))
        database.execute("ROLLBACK")
    *before, last = settled(site, task_id)[0]
    assert (set(before), last) == ({500}, 204)
    assert len(users(f"sqlite:///{path}", key)) == 1
    site.process.wait_for("database is locked")
