"""The same task delivered twice at the same time, over real sockets: one run, one answer."""

import asyncio
import uuid
from contextlib import suppress

import pytest

from tests.pushes import make_body, make_message, many_connections, push, push_body
from tests.reliability.faults import effect, faulty_site, open_gate, users

MANY = 100

both_kinds = pytest.mark.parametrize("task", ["hold", "hold_sync"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("joins")


@pytest.fixture(scope="module")
def site(certificates, folder):
    with faulty_site(folder, TESTS_CERTS_URL=certificates.url) as site:
        yield site


@pytest.fixture
def key():
    return uuid.uuid4().hex


@pytest.fixture(params=["/tasks/pubsub/", "/view/pubsub/"], ids=["asgi", "view"])
async def send(request, site, signer):
    """Begin to push a body; the asyncio task of its answer. To cancel it ends the connection."""
    header = f"Bearer {signer.token(site.endpoint)}"
    sent = []
    async with many_connections() as session:

        def send(body):
            how = {"path": request.param, "session": session}
            sent.append(asyncio.create_task(push(site, body, header, **how)))
            return sent[-1]

        yield send
        for one in sent:
            one.cancel()
        await asyncio.wait(sent)


async def until(site, task, key):
    return await asyncio.to_thread(effect, site, task, key)


async def until_joined(send):
    """A push of its own that is answered, by when those sent before it have arrived."""
    for _ in range(2):
        assert await send(push_body("add", 1, 1)) == 204


async def leave(sent):
    sent.cancel()
    with suppress(asyncio.CancelledError):
        await sent


@both_kinds
async def test_task_delivered_twice_at_once_runs_once(site, send, task, key):
    body = push_body(task, key=key)
    first, second = send(body), send(body)
    await until(site, "began", key)
    await until_joined(send)
    open_gate(site, key)
    assert [await first, await second] == [204, 204]
    assert len(site.effects("began", key=key)) == len(site.effects("ended", key=key)) == 1


@both_kinds
async def test_hundred_deliveries_at_once_run_once(site, send, task, key):
    body = push_body(task, key=key)
    sent = [send(body) for _ in range(MANY)]
    await until(site, "began", key)
    await until_joined(send)
    open_gate(site, key)
    assert await asyncio.gather(*sent) == [204] * MANY
    assert len(site.effects("began", key=key)) == 1


@both_kinds
async def test_joined_run_that_fails_is_a_failure_for_both(site, send, task, key):
    body = push_body(task, key=key, fails=True)
    first, second = send(body), send(body)
    await until(site, "began", key)
    await until_joined(send)
    open_gate(site, key)
    assert [await first, await second] == [500, 500]
    assert len(site.effects("began", key=key)) == 1


@both_kinds
async def test_run_goes_on_for_the_second_when_the_first_leaves(site, send, task, key):
    message = make_message(task, key=key)
    first = send(make_body(message))
    await until(site, "began", key)
    second = send(make_body(message))
    await until_joined(send)
    await leave(first)
    await asyncio.to_thread(site.process.wait_for, f"was interrupted in .*{message.task_id}")
    open_gate(site, key)
    assert await second == 204
    assert len(site.effects("began", key=key)) == len(site.effects("ended", key=key)) == 1


async def test_coroutine_is_cancelled_when_both_have_left(site, send, folder, key):
    body = push_body("hold", key=key)
    first, second = send(body), send(body)
    await until(site, "began", key)
    await until_joined(send)
    await leave(first)
    await leave(second)
    await until(site, "tidied", key)
    open_gate(site, key)
    assert await send(push_body("add", 1, 1)) == 204
    assert site.effects("ended", key=key) == []
    assert len(users(f"sqlite:///{folder}/db.sqlite3", key)) == 1


async def test_thread_that_outlived_its_deadline_answers_the_redelivery(site, send, key):
    message = make_message("outlive", key=key)
    assert await send(make_body(message)) == 504
    open_gate(site, key)
    await until(site, "ended", key)
    assert await send(make_body(message, attempt=2)) == 204
    assert len(site.effects("began", key=key)) == 1


async def test_redelivery_joins_the_thread_that_outlived_its_deadline(site, send, key):
    message = make_message("outlive", key=key)
    assert await send(make_body(message)) == 504
    redelivered = send(make_body(message, attempt=2))
    await until_joined(send)
    open_gate(site, key)
    assert await redelivered == 204
    assert len(site.effects("began", key=key)) == 1


async def test_thread_whose_client_left_answers_the_redelivery(site, send, key):
    message = make_message("hold_sync", key=key)
    first = send(make_body(message))
    await until(site, "began", key)
    await leave(first)
    open_gate(site, key)
    await until(site, "ended", key)
    assert await send(make_body(message, attempt=2)) == 204
    assert len(site.effects("began", key=key)) == 1
