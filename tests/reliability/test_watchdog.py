"""A call that blocks the loop of a real server is named while it still does."""

import asyncio
import inspect
import re
import uuid

import pytest

from tests.pushes import many_connections, push, push_body
from tests.reliability.faults import effect, faulty_site, open_gate
from tests.reliability.faulty import tasks

LATE = 5  # seconds; it takes less than one, but the machine may be busy
RATE = 200  # pushes a second
PUSHES = 600


@pytest.fixture(scope="module")
def site(certificates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("watchdog")
    with faulty_site(folder, TESTS_CERTS_URL=certificates.url) as site:
        yield site


@pytest.fixture
async def send(site, signer):
    header = f"Bearer {signer.token(site.endpoint)}"
    async with many_connections() as session:
        yield lambda task, *args, **kwargs: asyncio.create_task(
            push(site, push_body(task, *args, **kwargs), header, session=session)
        )


@pytest.mark.parametrize("task", ["block", "compute"])
async def test_call_that_blocks_is_named_while_it_blocks(site, send, task):
    other, key = uuid.uuid4().hex, uuid.uuid4().hex
    waiting = send("hold", key=other)
    await asyncio.to_thread(effect, site, "began", other)
    blocking = send(task, key=key)
    await asyncio.to_thread(effect, site, "began", key)
    pattern = rf"WARNING The event loop is blocked, for (\S+) s so far, at (.*{task} \(.*)"
    found = await asyncio.to_thread(site.process.wait_for, pattern)
    assert not blocking.done()
    for one in (key, other):
        open_gate(site, one)
    assert [await blocking, await waiting] == [204, 204]
    print(f"{task}: warned after {found[1]} s")
    assert float(found[1]) < LATE
    assert is_inside(getattr(tasks, task), found[2])
    for name in ("hold", task):
        assert re.search(rf"It was running: .*\b{name} \(id=", found[2])


def is_inside(task, where):
    """Whether a line of the task's function is where the loop was said to stand."""
    lines, first = inspect.getsourcelines(task.func)
    named = re.search(rf"{task.name} \(\S+/faulty/tasks\.py:(\d+)\)", where)
    return first < int(named[1]) < first + len(lines)


async def test_busy_server_is_not_warned_about(site, send):
    before = len(site.process.output)
    loop, places = asyncio.get_running_loop(), asyncio.Semaphore(20)
    began = loop.time()

    async def send_one(number):
        await asyncio.sleep(began + number / RATE - loop.time())
        async with places:
            return await send("add", number, 1)

    statuses = await asyncio.gather(*(send_one(number) for number in range(PUSHES)))
    print(f"{PUSHES / (loop.time() - began):.0f} pushes/s")
    assert statuses == [204] * PUSHES
    assert "event loop" not in site.process.output[before:]
