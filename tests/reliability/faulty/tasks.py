"""Tasks that go wrong on demand. ``do`` is one of the functions in `bodies`.

What they leave in the database is a user whose first name is their key.
"""

import asyncio
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import DataError, connection, transaction
from django.tasks import task
from django.tasks.signals import task_finished

from asgi_tasks import Discard, TaskRoute
from tests.site.effects import record
from tests.site.task_routes import task_routes as site_routes

EFFECTS = Path(os.environ.get("TESTS_EFFECTS", "/nowhere"))
LONG = 60  # seconds


@task(takes_context=True)
def work_sync(context, do, key, **more):
    bodies[do](key, context.attempt, **more)


@task(takes_context=True)
async def work(context, do, key, **more):
    await sync_to_async(bodies[do])(key, context.attempt, **more)


# The database


def insert(key, attempt):
    User.objects.create(username=uuid.uuid4().hex, first_name=key)


def insert_slowly(key, attempt):
    execute("SELECT pg_sleep(0.02)")
    with transaction.atomic():
        insert(key, attempt)
        execute("SELECT pg_sleep(0.02)")


def stall_once(key, attempt):
    """Be in the middle of something when the test cuts the connection."""
    if attempt == 1:
        record("stalls", key=key, pid=backend())
        execute("SELECT pg_sleep(%s)", LONG)
    insert(key, attempt)


def stall_once_in_atomic(key, attempt):
    with transaction.atomic():
        insert(key, attempt)
        if attempt == 1:
            record("stalls", key=key, pid=backend())
            execute("SELECT pg_sleep(%s)", LONG)


def overrun_once(key, attempt):
    with transaction.atomic():
        insert(key, attempt)
        if attempt == 1:
            execute("SET LOCAL statement_timeout = '50ms'")
            execute("SELECT pg_sleep(%s)", LONG)


def lock_two(key, attempt, numbers, gate):
    with transaction.atomic():
        insert(key, attempt)
        execute("SELECT pg_advisory_xact_lock(%s)", numbers[0])
        if attempt == 1:
            record("locked", key=key)
            wait_for_gate(gate)
        execute("SELECT pg_advisory_xact_lock(%s)", numbers[1])


def update_what_another_updates(key, attempt):
    with transaction.atomic():
        execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        count = User.objects.filter(first_name=key).count()
        if attempt == 1:
            record("read", key=key, count=count)
            wait_for_gate(key)
        User.objects.filter(first_name=key).update(last_name=f"attempt {attempt}")


# What a task leaves behind


def turn_autocommit_off(key, attempt):
    transaction.set_autocommit(False)
    insert(key, attempt)


def begin(key, attempt):
    execute("BEGIN")
    insert(key, attempt)


def enter_atomic(key, attempt):
    transaction.atomic().__enter__()
    insert(key, attempt)


def begin_and_fail(key, attempt):
    begin(key, attempt)
    raise RuntimeError("with its transaction open")


def break_transaction(key, attempt):
    """With an error of which Django does not think that the connection may be broken."""
    execute("BEGIN")
    with suppress(DataError):
        execute("SELECT 1 / 0")


def close_in_atomic(key, attempt):
    transaction.atomic().__enter__()
    connection.close()


def leave_cursor(key, attempt):
    insert(key, attempt)
    rows = User.objects.iterator(chunk_size=1)
    next(rows)
    left.append(rows)


def look(key, attempt):
    """What a task finds at its start."""
    execute("SELECT 1")
    found = {
        "autocommit": connection.get_autocommit(),
        "atomic": connection.in_atomic_block,
        "status": connection.connection.info.transaction_status.name,
    }
    record("looked", key=key, found=found)
    insert(key, attempt)


def use_connection(key, attempt):
    record("used", key=key, pid=backend())


left = []


@task(takes_context=True)
async def keep_connection(context, key):
    """Keep a lane's connection open until the test lets go."""
    record("keeps", key=key, pid=await sync_to_async(backend)())
    await agate(key)


# Mixed load


@task
async def mix(key, seconds):
    await User.objects.acount()
    await asyncio.sleep(seconds)
    async for _ in User.objects.order_by("pk")[:3]:
        pass
    await User.objects.acreate(username=uuid.uuid4().hex, first_name=key)


@task
def mix_sync(key, seconds):
    User.objects.count()
    time.sleep(seconds)
    with transaction.atomic():
        User.objects.create(username=uuid.uuid4().hex, first_name=key)


@task
async def mix_and_fail(key, seconds):
    await mix.func(key, seconds)
    raise RuntimeError("as asked")


@task
def mix_and_fail_sync(key, seconds):
    with transaction.atomic():
        mix_sync.func(key, seconds)
        raise RuntimeError("as asked")


# Joined runs


@task
async def hold(key, fails=False):
    record("began", key=key)
    try:
        await agate(key)
    except asyncio.CancelledError:
        await sync_to_async(insert)(key, 1)  # tidying up may use the database
        record("tidied", key=key)
        raise
    end(key, fails)


@task
def hold_sync(key, fails=False):
    record("began", key=key)
    wait_for_gate(key)
    end(key, fails)


@task
def outlive(key):
    """As hold_sync, with a deadline of a second."""
    hold_sync.func(key)


def end(key, fails):
    if fails:
        raise RuntimeError("as asked")
    record("ended", key=key)


# The event loop


@task
async def block(key):
    record("began", key=key)
    wait_for_gate(key)
    record("ended", key=key)


@task
async def compute(key):
    record("began", key=key)
    while not is_open(key):
        sum(range(100_000))
    record("ended", key=key)


# Failures that are final


@task
async def discard(key, how):
    record("began", key=key)
    raise FINAL[how](key)


@task
def discard_sync(key, how):
    record("began", key=key)
    raise FINAL[how](key)


FINAL = {"raised": Discard, "listed": LookupError, "derived": KeyError}


def record_finish(task_result, **kwargs):
    if task_result.task in (discard, discard_sync):
        record("finished", id=task_result.id, status=task_result.status)


if "TESTS_EFFECTS" in os.environ:  # in the site's process, not in the tests' own
    task_finished.connect(record_finish)


def execute(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def backend():
    """PostgreSQL's process for this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def is_open(key):
    return EFFECTS.with_name(f"gate-{key}").exists()


def wait_for_gate(key):
    until = time.monotonic() + LONG
    while not is_open(key) and time.monotonic() < until:
        time.sleep(0.02)


async def agate(key):
    until = time.monotonic() + LONG
    while not is_open(key) and time.monotonic() < until:  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(0.02)


bodies = {
    body.__name__: body
    for body in (
        begin,
        begin_and_fail,
        break_transaction,
        close_in_atomic,
        enter_atomic,
        insert,
        insert_slowly,
        leave_cursor,
        lock_two,
        look,
        overrun_once,
        stall_once,
        stall_once_in_atomic,
        turn_autocommit_off,
        update_what_another_updates,
        use_connection,
    )
}
task_routes = [
    *site_routes,
    *(TaskRoute(one) for one in (work, work_sync, keep_connection, hold, hold_sync)),
    *(TaskRoute(one) for one in (mix, mix_sync, mix_and_fail, mix_and_fail_sync, block, compute)),
    TaskRoute(outlive, timeout=1),
    TaskRoute(discard, discard_on=(LookupError,)),
    TaskRoute(discard_sync, discard_on=(LookupError,)),
]
