"""SIGTERM with work under way: what ends in time is acknowledged, the rest comes again."""

import asyncio
import signal
import socket
import time

import aiohttp
import pytest

from tests.processes import free_port, python

from .serving import LONG, PUSH_PATH, UPGRADE, environment, push_headers, push_of, serving

LIMIT = 10  # seconds; Cloud Run kills then
LANES = 8
STOPPING = r"Stopping: (\d+) requests are under way"

PATHS = (PUSH_PATH, "/view/pubsub/")


@pytest.fixture
def served(certificates, tmp_path):
    with serving(tmp_path, TESTS_CERTS_URL=certificates.url) as served:
        yield served


@pytest.fixture
def push(signer):
    """push(served, bodies) sends them at once; each becomes a status, or None: no answer."""

    async def one(session, url, body):
        try:
            async with session.post(url, data=body) as response:
                assert await response.read() == b""
                return response.status
        except aiohttp.ClientError:
            return None

    async def push(served, bodies, path=PUSH_PATH):
        options = {
            "connector": aiohttp.TCPConnector(limit=0),
            "timeout": aiohttp.ClientTimeout(total=4 * LONG),
            "headers": dict(header.split(": ", 1) for header in push_headers(served, signer)),
        }
        async with aiohttp.ClientSession(**options) as session:
            return await asyncio.gather(*(one(session, served.url + path, body) for body in bodies))

    return push


async def stop(served, number=signal.SIGTERM):
    """Have it end in time; print how long it took."""
    code, seconds = await asyncio.to_thread(served.stop, number)
    print(f"exit after {seconds:.1f} s")
    assert code == 0
    assert seconds < LIMIT
    return seconds


async def stopping(served):
    """Once it has taken note of the signal, how many requests were under way."""
    found = await asyncio.to_thread(served.process.wait_for, STOPPING)
    return int(found[1])


def bodies_of(count, **options):
    """Every tenth is a sync task."""
    tasks = ["run_sync" if number % 10 == 5 else "run" for number in range(count)]
    return [push_of(task, number, **options) for number, task in enumerate(tasks)]


async def until_begun(served, count):
    """Wait until that many coroutines, and as many sync tasks as there are lanes, have begun."""
    sync = min(count // 10, LANES)
    await asyncio.to_thread(
        served.wait_until,
        lambda: len(served.effects(state="began")) >= count - count // 10 + sync,
    )


@pytest.mark.parametrize("path", PATHS, ids=["asgi", "view"])
@pytest.mark.parametrize("count", [1, 100])
async def test_what_ends_in_time_is_acknowledged(served, push, count, path):
    await acknowledged(served, push, count, path)


async def test_thousand_that_end_in_time_are_acknowledged(served, push):
    await acknowledged(served, push, 1000, PUSH_PATH)


async def acknowledged(served, push, count, path):
    pushing = asyncio.create_task(push(served, bodies_of(count), path))
    await until_begun(served, count)
    ending = asyncio.create_task(stop(served))
    assert await stopping(served) == count
    served.open_gate()
    assert await pushing == [204] * count
    await ending
    assert len(served.effects(state="ended")) == count


async def test_what_does_not_end_is_cancelled_and_not_acknowledged(certificates, push, tmp_path):
    async def one(count, path):  # at the same time: each takes nine seconds
        folder = tmp_path / f"{count}{path.replace('/', '-')}"
        folder.mkdir()
        with serving(folder, TESTS_CERTS_URL=certificates.url) as served:
            await cancelled(served, push, count, path)

    await asyncio.gather(*(one(count, path) for count in (1, 100) for path in PATHS))


async def test_thousand_that_do_not_end_are_cancelled(served, push):
    with served.connect() as waiting:
        waiting.get("/wait", *UPGRADE)
        await cancelled(served, push, 1000, PUSH_PATH)
    assert served.effects(task="connect", state="cancelled")


async def cancelled(served, push, count, path):
    pushing = asyncio.create_task(push(served, bodies_of(count), path))
    await until_begun(served, count)
    assert await stop(served) > 8
    assert await pushing == [503] * count
    print(f"{count} at {path} answered 503")
    coroutines = count - count // 10
    assert len(served.effects(task="run", state="cancelled")) == coroutines
    assert len(served.effects(task="run_sync", state="began")) == min(LANES, count // 10)
    assert not served.effects(state="ended")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_with_nothing_to_do_it_ends_at_once(served, number):
    with served.connect() as idle:
        idle.get("/path/")
        assert idle.status() == 200
        assert await stop(served, number) < 5
        assert idle.is_ended()


async def test_what_the_loop_has_open_is_closed(served, push):
    assert await push(served, [push_of("open_resource")]) == [204]
    await stop(served)
    assert served.effects(task="resource", state="closed")


async def test_interrupt_drains_too(served, push):
    pushing = asyncio.create_task(push(served, bodies_of(20)))
    await until_begun(served, 20)
    ending = asyncio.create_task(stop(served, signal.SIGINT))
    await stopping(served)
    served.open_gate()
    assert await pushing == [204] * 20
    await ending


@pytest.mark.parametrize("task", ["run", "run_sync", "stay"])
async def test_second_signal_ends_it_at_once(served, push, task):
    pushing = asyncio.create_task(push(served, [push_of(task, 1)]))
    await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
    served.send_signal()
    await stopping(served)
    assert await stop(served) < 5
    assert await pushing == [503]


async def test_blocked_loop_does_not_keep_it_when_told_twice(served, push):
    pushing = asyncio.create_task(push(served, [push_of("block", 1)]))
    await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
    began = time.monotonic()
    while not pushing.done():
        served.send_signal()  # two at the same moment may count as one
        await asyncio.sleep(0.1)
    assert await pushing == [None]
    assert served.process.wait() == 0
    assert time.monotonic() - began < 5


async def test_blocked_loop_does_not_keep_it(served, push):
    pushing = asyncio.create_task(push(served, [push_of("block", 1)]))
    await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
    await stop(served)
    assert await pushing == [None]
    assert "Exiting although something still runs here" in served.process.output


async def test_page_under_way_is_sent_whole(served):
    with served.connect() as connection:
        connection.get("/large/")
        await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
        ending = asyncio.create_task(stop(served))
        await stopping(served)
        served.open_gate()
        answer = await asyncio.to_thread(connection.answer)
        assert len(answer.body) == 20_000_000
        assert await ending < 8


async def test_newcomers_are_told_to_go_elsewhere(certificates, push, signer, tmp_path):
    late = push_of("run", 2)
    with (
        serving(tmp_path, "-v", "2", TESTS_CERTS_URL=certificates.url) as served,
        served.connect() as kept,
        served.connect() as half,
        served.connect() as stuck,
    ):
        pushing = asyncio.create_task(push(served, [push_of("run", 1)]))
        kept.get("/path/")
        assert kept.status() == 200
        for connection in (half, stuck):
            length = f"Content-Length: {len(late)}"
            connection.post(PUSH_PATH, *push_headers(served, signer), length, body=late[:10])
        await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
        ending = asyncio.create_task(stop(served))
        assert await stopping(served) == 1
        kept.post(PUSH_PATH, *push_headers(served, signer), body=late)
        half.send(late[10:])
        for connection in (kept, half):
            answer = connection.answer()
            assert (answer.status, answer.body) == (503, b"")
            assert "\r\nConnection: close\r\n" in answer.head
            assert connection.is_ended()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port))
        served.open_gate()
        assert await pushing == [204]
        assert await ending < 8
        assert stuck.is_ended()
    assert not served.effects(key=2)


async def test_open_websocket_is_closed_and_keeps_nothing_from_ending(served, push):
    pushing = asyncio.create_task(push(served, [push_of("run", 1)]))
    await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
    async with aiohttp.ClientSession() as session, session.ws_connect(served.url) as websocket:
        await websocket.send_str("hello")
        assert await websocket.receive_str() == "hello"
        ending = asyncio.create_task(stop(served))
        assert (await websocket.receive()).type == aiohttp.WSMsgType.CLOSE
        assert websocket.close_code == aiohttp.WSCloseCode.GOING_AWAY
        assert await stopping(served) == 2
        served.open_gate()
        assert await pushing == [204]
        assert await ending < 8


async def test_websocket_that_is_not_accepted_yet_keeps_nothing_from_ending(served, push):
    pushing = asyncio.create_task(push(served, [push_of("run", 1)]))
    await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
    with served.connect() as waiting:
        waiting.get("/wait", *UPGRADE)
        await asyncio.to_thread(served.wait_until, lambda: served.effects(task="connect"))
        ending = asyncio.create_task(stop(served))
        assert await stopping(served) == 2
        served.open_gate()
        assert await pushing == [204]
        assert waiting.status() == 101
        waiting.close()
        assert await ending < 8


@pytest.fixture
def behind(emulator, tmp_path):
    """behind(): the site behind the emulator, one process after the other at the same address."""
    port = free_port()
    broker = {"PUBSUB_EMULATOR_HOST": emulator.host, "TESTS_CERTS_URL": emulator.certs_url}
    python("-m", "django", "provision_tasks", env=environment(tmp_path, port) | broker)
    yield lambda **variables: serving(tmp_path, port=port, **broker | variables)
    emulator.reset()


def records(emulator):
    """The state of each task, and the statuses of its deliveries."""
    return {
        message.task_id: (message.state, [delivery.status for delivery in message.deliveries])
        for message in emulator.messages()
    }


async def test_what_was_not_acknowledged_runs_in_the_next_process(emulator, behind):
    with behind() as served:
        for gate in ("soon", "late"):
            await asyncio.to_thread(served.get, f"/start/50/{gate}/")
        await until_begun(served, 100)
        ending = asyncio.create_task(stop(served))
        assert await stopping(served) >= 100  # the view that enqueued them may be among them
        served.open_gate("soon")
        await ending
    seen = records(emulator).values()
    assert [statuses for state, statuses in seen if state == "acknowledged"] == [[204]] * 50
    assert [statuses[0] for state, statuses in seen if state != "acknowledged"] == [503] * 50
    soon = {f"soon {key}" for key in range(50)}
    assert {effect["key"] for effect in served.effects(state="ended")} == soon

    with behind() as served:
        served.open_gate("late")
        await asyncio.to_thread(
            served.wait_until,
            lambda: {state for state, _ in records(emulator).values()} == {"acknowledged"},
        )
    ended = [effect["key"] for effect in served.effects(state="ended")]
    assert sorted(ended) == sorted(soon | {f"late {key}" for key in range(50)})
    assert [statuses.count(204) for _, statuses in records(emulator).values()] == [1] * 100


@pytest.mark.parametrize("task", ["pass_on", "pass_on_sync"])
async def test_publishing_under_way_is_finished(emulator, behind, certificates, push, task):
    emulator.fault("call.delay", call="Publish", seconds=2, count=1)
    with behind(TESTS_CERTS_URL=certificates.url) as served:
        pushing = asyncio.create_task(push(served, [push_of(task, "passed on")]))
        await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
        assert emulator.messages() == []
        assert await stop(served) < 8
        assert await pushing == [204]
    (published,) = emulator.messages()
    assert published.task == task.replace("pass_on", "run")
