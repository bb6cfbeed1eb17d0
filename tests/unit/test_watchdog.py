import asyncio
import re
import threading
import time

import pytest

from asgi_tasks.watchdog import INTERVAL, PATIENCE, watching

LONG = 10  # seconds until a test gives up


@pytest.fixture
def warned(caplog):
    """Block the loop until a line of the log matches; the line."""

    def wait_for(pattern):
        give_up = time.monotonic() + LONG
        while time.monotonic() < give_up:
            for record in list(caplog.records):
                if re.search(pattern, record.getMessage()):
                    return record
            time.sleep(0.01)
        raise AssertionError(caplog.text)

    return wait_for


async def test_blocked_loop_is_warned_about_while_it_is_blocked(warned):
    with watching("costs (id=7)"), watching("report (id=8)"):
        record = warned("event loop is blocked")
    assert (record.name, record.levelname) == ("asgi_tasks", "WARNING")
    assert record.getMessage().endswith("It was running: costs (id=7), report (id=8)")


async def test_warning_names_the_line_that_blocks(warned):
    with watching("costs"):
        record = warned("event loop is blocked")
    assert "at wait_for (" in record.getMessage()
    assert f"< test_warning_names_the_line_that_blocks ({__file__}:" in record.getMessage()
    assert "\n" not in record.getMessage()


async def test_end_of_the_block_is_told(warned, caplog):
    with watching("costs"):
        warned("event loop is blocked")
        await asyncio.sleep(INTERVAL)
    lines = [r.getMessage() for r in caplog.records]
    assert [line.partition(" for ")[0] for line in lines] == [
        "The event loop is blocked,",
        "The event loop was blocked",
    ]


async def test_task_that_awaits_is_not_warned_about(caplog):
    with watching("costs"):
        await asyncio.sleep(PATIENCE * 2)
    assert caplog.records == []


async def test_loop_without_tasks_is_not_watched(caplog):
    with watching("costs"):
        await asyncio.sleep(0)
    blocked = threading.Event()
    blocked.wait(PATIENCE * 2)
    assert caplog.records == []


async def test_each_of_two_blocks_is_warned_about(warned, caplog):
    for _ in range(2):
        with watching("costs"):
            warned("event loop is blocked")
            await asyncio.sleep(INTERVAL)
            assert "was blocked for" in caplog.text
        caplog.clear()


async def test_long_list_is_cut(warned):
    labels = [watching(f"task-{number}") for number in range(25)]
    for label in labels:
        label.__enter__()
    record = warned("event loop is blocked")
    for label in labels:
        label.__exit__(None, None, None)
    assert record.getMessage().endswith("task-8, task-9 and 15 more")


def test_loop_that_ended_is_forgotten(caplog):
    async def leave():
        watch = watching("costs")
        watch.__enter__()
        return watch

    watch = asyncio.run(leave())
    threading.Event().wait(PATIENCE * 2)
    assert caplog.records == []
    watch.__exit__(None, None, None)


def test_warning_comes_within_a_second():
    assert PATIENCE + 2 * INTERVAL <= 1
