"""Connections to PostgreSQL, seen from there: how many, for how long, and in which state."""

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter

import psycopg
import pytest

from tests.pushes import many_connections, push, push_body
from tests.reliability.faults import (
    ACTIVITY,
    activity,
    count_users,
    effect,
    faulty_site,
    open_gate,
    users,
)

LANES = 4
PUSHES = 1000
AT_ONCE = 200
SEED = 20261
LEAVING = 0.1  # of the clients, before the answer
MOMENT = 5  # seconds in which a transaction goes on even on a busy machine
POOL = {"min_size": 1, "max_size": LANES, "max_idle": 1}

# How each task of the load is answered, and how many users its key has then.
LOAD = {
    "mix": (204, 1),
    "mix_sync": (204, 1),
    "mix_and_fail": (500, 1),
    "mix_and_fail_sync": (500, 0),
    "work": (500, 0),
    "work_sync": (500, 0),
}
LEAVERS = ("begin", "enter_atomic", "turn_autocommit_off", "break_transaction")

both_kinds = pytest.mark.parametrize("task", ["work", "work_sync"])


@pytest.fixture(scope="module", params=[None, POOL], ids=["no pool", "pool"])
def loaded_site(request, certificates, database_url, tmp_path_factory):
    """The site with few lanes, and the connections it keeps without work."""
    options = {"pool": request.param} if request.param else {}
    variables = {"TESTS_CERTS_URL": certificates.url, "TESTS_THREADS": str(LANES)}
    folder = tmp_path_factory.mktemp("loaded")
    with faulty_site(folder, database=database_url, options=options, **variables) as site:
        yield site, len(options)


@pytest.fixture(scope="module")
def one_lane(certificates, database_url, tmp_path_factory):
    """The site with a single lane."""
    variables = {"TESTS_CERTS_URL": certificates.url, "TESTS_THREADS": "1"}
    folder = tmp_path_factory.mktemp("lane")
    with faulty_site(folder, database=database_url, **variables) as site:
        yield site


@pytest.fixture
def authorization(signer):
    return lambda site: f"Bearer {signer.token(site.endpoint)}"


@pytest.fixture
async def kept(one_lane, authorization):
    """The site while a run keeps the lane's connection open, and a function that pushes to it."""
    key = uuid.uuid4().hex

    async def send(task, **kwargs):
        return await push(one_lane, push_body(task, **kwargs), authorization(one_lane))

    keeping = asyncio.create_task(send("keep_connection", key=key))
    pid = (await asyncio.to_thread(effect, one_lane, "keeps", key))["pid"]
    yield one_lane, send, pid
    open_gate(one_lane, key)
    assert await keeping == 204


async def test_load_holds_no_more_connections_than_lanes(loaded_site, authorization, database_url):
    site, baseline = loaded_site
    dice = random.Random(SEED)
    kinds = [(uuid.uuid4().hex, *draw(dice)) for _ in range(PUSHES)]
    started = time.monotonic()
    async with watching(database_url, site) as seen:
        statuses = await send_all(site, authorization(site), kinds)
    took = time.monotonic() - started
    await asyncio.to_thread(
        site.wait_until, lambda: activity(database_url, site)[:2] == (baseline, 0)
    )
    print(
        f"{PUSHES} pushes, seed {SEED}: {PUSHES / took:.0f}/s, {dict(Counter(statuses))}, "
        f"at most {seen.most} connections, {baseline} at the end, "
        f"longest idle in a transaction {seen.idle:.3f} s"
    )
    assert 0 < seen.most <= LANES
    assert seen.idle < MOMENT
    counts = count_users(database_url)
    for (key, task, _, leaves), status in zip(kinds, statuses, strict=True):
        expected, left = LOAD[task]
        assert status == expected or (leaves and status is None)
        assert status is None or counts[key] == left


def draw(dice):
    """A task, its arguments, and after how many seconds its client leaves, if it does."""
    task = dice.choice(list(LOAD))
    if task.startswith("work"):
        more = {"do": dice.choice(LEAVERS)}
    else:
        more = {"seconds": dice.uniform(0, 0.02)}
    return task, more, dice.uniform(0, 0.3) if dice.random() < LEAVING else None


async def send_all(site, authorization, kinds):
    """The status of each push, None if its client left before."""
    places = asyncio.Semaphore(AT_ONCE)

    async def send(key, task, more, leaves):
        body = push_body(task, key=key, **more)
        async with places:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(leaves):
                    return await push(site, body, authorization, session=session)

    async with many_connections() as session:
        return await asyncio.gather(*(send(*kind) for kind in kinds))


class Seen:
    most = 0
    idle = 0.0


@contextlib.asynccontextmanager
async def watching(url, site):
    """The most connections there were meanwhile, and the longest idle transaction."""
    seen = Seen()

    async def watch():
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as database:
            while True:
                cursor = await database.execute(ACTIVITY, [site.path.parent.name])
                count, _, idle = await cursor.fetchone()
                seen.most, seen.idle = max(seen.most, count), max(seen.idle, idle.total_seconds())
                await asyncio.sleep(0.01)

    watcher = asyncio.create_task(watch())
    yield seen
    watcher.cancel()
    await asyncio.wait({watcher})
    assert watcher.cancelled()


# What a task leaves behind, while another run keeps the connection


@pytest.mark.parametrize("do", [*LEAVERS, "begin_and_fail", "close_in_atomic"])
@both_kinds
async def test_transaction_ends_with_the_call_that_left_it_open(kept, database_url, task, do):
    site, send, _ = kept
    key, next_key = uuid.uuid4().hex, uuid.uuid4().hex
    assert await send(task, do=do, key=key) == 500
    assert activity(database_url, site)[1] == 0
    assert users(database_url, key) == []
    assert await send("work", do="look", key=next_key) == 204
    found = site.effects("looked", key=next_key)[0]["found"]
    assert found == {"autocommit": True, "atomic": False, "status": "IDLE"}
    assert len(users(database_url, next_key)) == 1


@both_kinds
async def test_work_of_an_open_transaction_is_not_acknowledged(kept, task):
    site, send, _ = kept
    key = uuid.uuid4().hex
    assert await send(task, do="begin", key=key) == 500
    site.process.wait_for("TransactionLeftOpen: A transaction was left open, and rolled back")


@both_kinds
async def test_cursor_left_open_does_not_disturb_the_next_task(kept, database_url, task):
    site, send, _ = kept
    key = uuid.uuid4().hex
    assert await send(task, do="leave_cursor", key=key) == 204
    assert await send(task, do="look", key=key) == 204
    assert len(users(database_url, key)) == 2
    assert activity(database_url, site)[1] == 0


@both_kinds
async def test_connection_that_was_cut_serves_no_other_task(kept, database_url, task):
    site, send, pid = kept
    stalled, key = uuid.uuid4().hex, uuid.uuid4().hex
    stalling = asyncio.create_task(send(task, do="stall_once", key=stalled))
    assert (await asyncio.to_thread(effect, site, "stalls", stalled))["pid"] == pid
    with psycopg.connect(database_url) as database:
        database.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert await stalling == 500
    assert await send(task, do="use_connection", key=key) == 204
    assert site.effects("used", key=key)[0]["pid"] != pid


async def test_connection_is_shared_until_its_last_run_has_ended(kept, database_url):
    site, send, pid = kept
    key = uuid.uuid4().hex
    assert await send("work", do="use_connection", key=key) == 204
    assert site.effects("used", key=key)[0]["pid"] == pid
    assert activity(database_url, site)[:2] == (1, 0)


@both_kinds
async def test_no_connection_is_left_after_a_task(one_lane, authorization, database_url, task):
    body = push_body(task, do="leave_cursor", key=uuid.uuid4().hex)
    assert await push(one_lane, body, authorization(one_lane)) == 204
    await asyncio.to_thread(one_lane.wait_until, lambda: activity(database_url, one_lane)[0] == 0)
