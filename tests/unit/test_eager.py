import asyncio

from asgi_tasks import eager


async def test_what_waits_for_nothing_is_done_at_once():
    async def answer():
        return 42

    task = eager.start(answer())
    assert task.done()
    assert task.result() == 42


async def test_what_waits_is_among_the_loops_tasks():
    gate = asyncio.Event()
    task = eager.start(gate.wait())
    assert not task.done()
    assert task in asyncio.all_tasks()
    gate.set()
    assert await task


async def test_an_error_is_the_task_s():
    async def fail():
        raise ZeroDivisionError

    task = eager.start(fail())
    assert isinstance(task.exception(), ZeroDivisionError)
