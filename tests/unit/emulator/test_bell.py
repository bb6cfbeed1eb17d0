import asyncio

import pytest

from asgi_tasks.emulator.bell import Bell

LONG = 10  # seconds until a test gives up; nothing waits that long


@pytest.fixture
def bell():
    return Bell()


async def waiting(bell, seconds=LONG):
    """A task that waits already."""
    task = asyncio.create_task(bell.wait(seconds))
    await asyncio.sleep(0)
    return task


async def test_ring_wakes_all_who_wait(bell):
    waiters = [await waiting(bell) for _ in range(3)]
    bell.ring()
    async with asyncio.timeout(1):
        await asyncio.gather(*waiters)


async def test_ring_does_not_wake_who_comes_later(bell):
    bell.ring()
    late = await waiting(bell)
    await asyncio.sleep(0.01)
    assert not late.done()
    late.cancel()


async def test_ring_wakes_who_waits_while_others_leave(bell):
    hasty = await waiting(bell, seconds=0)
    patient = await waiting(bell)
    await hasty
    bell.ring()
    async with asyncio.timeout(1):
        await patient


async def test_each_ring_wakes_again(bell):
    for _ in range(3):
        waiter = await waiting(bell, seconds=None)
        bell.ring()
        async with asyncio.timeout(1):
            await waiter


async def test_wait_ends_with_its_time(bell):
    async with asyncio.timeout(1):
        await bell.wait(0.001)
