"""The emulator as a process of its own: its port, record, pages and options.

What Pub/Sub does is in tests/conformance.
"""

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from google.auth import jwt
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

ACCOUNT = "invoker@p.iam.gserviceaccount.com"
PATIENCE = 20


def start_emulator(*options, stderr=subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, "-m", "asgi_tasks.emulator", *options],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def stop_emulator(process, number=signal.SIGTERM):
    """Ask it to stop; its exit code and what it wrote to stderr."""
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, errors


def announced_url(process):
    line = process.stdout.readline()
    assert line.startswith("asgi_tasks emulator: listening on http://127.0.0.1:")
    return line.split()[-1]


@pytest.fixture(scope="module")
def emulator_url(tmp_path_factory):
    log = tmp_path_factory.mktemp("emulator") / "log"
    with log.open("w") as stderr:
        process = start_emulator(
            "--port",
            "0",
            "--time-factor",
            "0.001",
            "--push-window",
            "1000",
            "--verbose",
            stderr=stderr,
        )
        try:
            yield announced_url(process)
        finally:
            code, _ = stop_emulator(process)
    assert code == 0
    assert "Traceback" not in log.read_text()
    assert "eyJ" not in log.read_text()  # how a token starts


@pytest.fixture(autouse=True)
def clients_use_the_emulator(emulator_url, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator_url.removeprefix("http://"))


@dataclass
class Names:
    """Names no other test uses."""

    unique: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def project(self):
        return f"projects/p{self.unique}"

    @property
    def topic(self):
        return f"{self.project}/topics/tasks"

    @property
    def dead(self):
        return f"{self.project}/topics/dead"

    @property
    def subscription(self):
        return f"{self.project}/subscriptions/tasks-sub"

    @property
    def dead_subscription(self):
        return f"{self.project}/subscriptions/dead-sub"


@pytest.fixture
def names():
    return Names()


@dataclass
class Push:
    headers: dict
    body: dict

    @property
    def data(self):
        return base64.b64decode(self.body["message"]["data"])

    @property
    def claims_token(self):
        return self.headers["Authorization"].removeprefix("Bearer ")


class Sink:
    """A push endpoint that answers what the test tells it to."""

    def __init__(self):
        self.pushes = []
        self.answers = []  # used up first; then 204
        self.delay = 0
        self.arrived = asyncio.Event()

    async def handle(self, request):
        self.pushes.append(Push(dict(request.headers), await request.json()))
        self.arrived.set()
        await asyncio.sleep(self.delay)
        status = self.answers.pop(0) if self.answers else 204
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    async def received(self, count):
        async with asyncio.timeout(PATIENCE):
            while len(self.pushes) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.pushes


@contextlib.asynccontextmanager
async def serving(sink):
    app = web.Application()
    app.router.add_post("/push", sink.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}/push"
        yield sink
    finally:
        await runner.cleanup()


@pytest.fixture
async def sink():
    async with serving(Sink()) as sink:
        yield sink


@pytest.fixture
async def rest(emulator_url):
    async with aiohttp.ClientSession(emulator_url) as session:
        yield session


@pytest.fixture
async def publisher():
    client = PublisherAsyncClient(transport=await emulator_transport(PublisherAsyncClient))
    yield client
    await client.transport.close()


@pytest.fixture
async def subscriber():
    client = SubscriberAsyncClient(transport=await emulator_transport(SubscriberAsyncClient))
    yield client
    await client.transport.close()


async def emulator_transport(client):
    """The generated async clients, unlike the others, do not read PUBSUB_EMULATOR_HOST."""
    import grpc.aio

    channel = grpc.aio.insecure_channel(os.environ["PUBSUB_EMULATOR_HOST"])
    return client.get_transport_class("grpc_asyncio")(channel=channel)


async def record_of(rest, subscription, *, settled=True):
    """The emulator's own record, once nothing is under way there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with rest.get("/emulator/messages", params={"subscription": subscription}) as got:
                messages = (await got.json())["messages"]
            if messages and not (
                settled and any(one["state"] == "outstanding" for one in messages)
            ):
                return messages
            await asyncio.sleep(0.01)


async def subscribe(publisher, subscriber, names, url, **fields):
    await publisher.create_topic(name=names.topic)
    push_config = {"push_endpoint": url, "oidc_token": {"service_account_email": ACCOUNT}}
    return await subscriber.create_subscription(
        request={
            "name": names.subscription,
            "topic": names.topic,
            "push_config": push_config,
            **fields,
        }
    )


async def dead_letters(publisher, subscriber, names, attempts=5):
    await publisher.create_topic(name=names.dead)
    await subscriber.create_subscription(name=names.dead_subscription, topic=names.dead)
    return {"dead_letter_topic": names.dead, "max_delivery_attempts": attempts}


# The port


async def test_one_port_serves_grpc_and_rest_at_the_same_time(publisher, rest, names):
    async def by_rest(number):
        async with rest.put(f"/v1/{names.topic}-r{number}", json={}) as answer:
            return answer.status

    async def by_grpc(number):
        return await publisher.create_topic(name=f"{names.topic}-g{number}")

    await asyncio.gather(*(call(number) for number in range(20) for call in (by_rest, by_grpc)))

    topics = await publisher.list_topics(project=names.project)
    assert len([topic async for topic in topics]) == 40


async def test_preface_in_pieces_still_reaches_grpc(emulator_url):
    host, port = emulator_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"\0\0\0\4\0\0\0\0\0")  # an empty SETTINGS frame
    async with asyncio.timeout(PATIENCE):
        frame = await reader.readexactly(9)
    writer.close()
    await writer.wait_closed()
    assert frame[3] == 4  # the server's own SETTINGS


async def test_request_line_in_pieces_still_reaches_rest(emulator_url):
    host, port = emulator_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in (b"P", b"UT /v1/projects/p/nothing HTTP/1.1\r\n", b"Host: x\r\n\r\n"):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    async with asyncio.timeout(PATIENCE):
        line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert line.startswith(b"HTTP/1.1 501 ")


# Pushes


async def test_push_is_told_in_the_record(publisher, subscriber, sink, names, rest):
    await subscribe(publisher, subscriber, names, sink.url)
    message = {"data": b"hello", "attributes": {"a": "b"}}
    published = await publisher.publish(topic=names.topic, messages=[message])

    [push] = await sink.received(1)

    [entry] = await record_of(rest, names.subscription)
    assert entry.pop("published_at") == push.body["message"]["publishTime"]
    [delivery] = entry.pop("deliveries")
    assert delivery["sent_at"] < delivery["finished_at"]
    assert (delivery["attempt"], delivery["status"]) == (1, 204)
    assert entry == {
        "message_id": published.message_ids[0],
        "topic": names.topic,
        "subscription": names.subscription,
        "attributes": {"a": "b"},
        "ordering_key": "",
        "state": "acknowledged",
        "attempts": 1,
    }


@pytest.mark.parametrize("audience", ["", "https://example.com/tasks"])
async def test_token_verifies_against_the_certificates(
    publisher, subscriber, sink, names, rest, audience
):
    token = {"service_account_email": ACCOUNT, "audience": audience}
    push_config = {"push_endpoint": sink.url, "oidc_token": token}
    await subscribe(publisher, subscriber, names, sink.url, push_config=push_config)
    await publisher.publish(topic=names.topic, messages=[{"data": b"1"}, {"data": b"2"}])
    first, second = await sink.received(2)

    async with rest.get("/oauth2/v1/certs") as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=3600, must-revalidate"
        certs = await answer.json()
    claims = jwt.decode(first.claims_token, certs=certs, audience=audience or sink.url)

    assert (claims["email"], claims["email_verified"]) == (ACCOUNT, True)
    assert first.claims_token == second.claims_token


async def test_each_answer_is_told_in_the_record(publisher, subscriber, sink, names, rest):
    await subscribe(publisher, subscriber, names, sink.url)
    sink.answers = [500, 302, 400]
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    [entry] = await record_of_finished(rest, names.subscription)
    assert [one["status"] for one in entry["deliveries"]] == [500, 302, 400, 204]


async def record_of_finished(rest, subscription):
    async with asyncio.timeout(PATIENCE):
        while True:
            messages = await record_of(rest, subscription)
            if all(one["state"] in {"acknowledged", "dead_lettered"} for one in messages):
                return messages
            await asyncio.sleep(0.01)


async def test_refused_connection_is_a_nack_and_told_in_the_record(
    publisher, subscriber, sink, names, rest
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead_url = f"http://127.0.0.1:{taken.getsockname()[1]}/push"
    await subscribe(publisher, subscriber, names, dead_url)
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    [entry] = await record_of(rest, names.subscription)
    while not entry["deliveries"] or "error" not in entry["deliveries"][0]:
        [entry] = await record_of(rest, names.subscription)
    assert entry["deliveries"][0]["status"] is None

    await subscriber.modify_push_config(
        subscription=names.subscription, push_config={"push_endpoint": sink.url}
    )

    [push] = await sink.received(1)
    assert push.data == b"x"


async def test_dead_letter_is_told_in_the_record(publisher, subscriber, sink, names, rest):
    policy = await dead_letters(publisher, subscriber, names)
    await subscribe(publisher, subscriber, names, sink.url, dead_letter_policy=policy)
    sink.answers = [500] * 5
    await publisher.publish(topic=names.topic, messages=[{"data": b"poison"}])
    [entry] = await record_of_finished(rest, names.subscription)
    assert entry["state"] == "dead_lettered"
    assert [one["attempt"] for one in entry["deliveries"]] == [1, 2, 3, 4, 5]


async def test_hundreds_of_pushes_are_under_way_at_once(publisher, subscriber, sink, names, rest):
    await subscribe(publisher, subscriber, names, sink.url)
    together = asyncio.Barrier(300)
    original = sink.handle

    async def meet(request):
        await together.wait()
        return await original(request)

    sink.handle = meet
    async with serving(sink):
        await subscriber.modify_push_config(
            subscription=names.subscription, push_config={"push_endpoint": sink.url}
        )
        messages = [{"data": b"x"}] * 300
        await publisher.publish(topic=names.topic, messages=messages)
        await sink.received(300)
        entries = await record_of_finished(rest, names.subscription)

    assert len(entries) == 300
    assert {len(entry["deliveries"]) for entry in entries} == {1}


# Pulls


async def test_pull_of_much_data_stays_below_what_googles_client_takes(
    publisher, subscriber, names
):
    await publisher.create_topic(name=names.topic)
    await subscriber.create_subscription(name=names.subscription, topic=names.topic)
    messages = [{"data": b"x" * 1_500_000}] * 5
    await publisher.publish(topic=names.topic, messages=messages)

    async with asyncio.timeout(PATIENCE):
        counts = []
        while sum(counts) < len(messages):
            pulled = await subscriber.pull(subscription=names.subscription, max_messages=10)
            counts.append(len(pulled.received_messages))

    assert counts == [2, 2, 1]


# Refusals


async def test_page_that_is_not_there_is_not_found(rest):
    async with rest.get("/nothing") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["status"] == "NOT_FOUND"


async def test_page_of_another_origin_is_refused(rest, names):
    async with rest.put(f"/v1/{names.topic}", headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["status"] == "PERMISSION_DENIED"


async def test_body_that_cannot_be_unpacked_is_refused(rest, names):
    async with rest.post(
        f"/v1/{names.topic}:publish", data=b"xx", headers={"Content-Encoding": "gzip"}
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["status"] == "INVALID_ARGUMENT"


# The emulator's own pages


async def test_own_pages_answer(rest, publisher, subscriber, names):
    async with rest.get("/emulator/health") as answer:
        assert answer.status == 200
    async with rest.get("/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
    async with rest.get("/emulator/status") as answer:
        assert (await answer.json())["emulator"] == "asgi_tasks"
    async with rest.get("/oauth2/v3/certs") as answer:
        [key] = (await answer.json())["keys"]
    async with rest.get("/oauth2/v1/certs") as answer:
        assert list(await answer.json()) == [key["kid"]]


async def test_record_of_the_finished_can_be_cleared(publisher, subscriber, sink, names, rest):
    await subscribe(publisher, subscriber, names, sink.url)
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    await record_of_finished(rest, names.subscription)

    async with rest.delete("/emulator/messages") as answer:
        assert (await answer.json())["cleared"] >= 1

    async with rest.get("/emulator/messages", params={"topic": names.topic}) as answer:
        assert (await answer.json())["messages"] == []


# The process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_it_cleanly_with_work_under_way(number, names):
    process = await asyncio.to_thread(start_emulator, "--port", "0")
    try:
        url = await asyncio.to_thread(announced_url, process)
        async with serving(Sink()) as sink, aiohttp.ClientSession(url) as rest:
            sink.delay = 3600
            await rest.put(f"/v1/{names.topic}")
            body = {"topic": names.topic, "pushConfig": {"pushEndpoint": sink.url}}
            await rest.put(f"/v1/{names.subscription}", json=body)
            message = {"data": base64.b64encode(b"x").decode()}
            await rest.post(f"/v1/{names.topic}:publish", json={"messages": [message]})
            await sink.received(1)

            code, errors = await asyncio.to_thread(stop_emulator, process, number)
    finally:
        process.kill()
        process.communicate()
    assert (code, errors) == (0, "")


def test_taken_port_is_one_clear_line(emulator_url):
    port = emulator_url.rpartition(":")[2]
    process = start_emulator("--port", port)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert output == ""
    assert errors.count("\n") == 1
    assert f"127.0.0.1:{port}" in errors
    assert "in use" in errors


def test_fault_of_an_unknown_call_is_one_clear_line():
    process = start_emulator("--fault", "call.error:resource=Nonsense")
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output, errors.count("\n")) == (1, "", 1)
    assert "'Nonsense' is none of Acknowledge, CreateSubscription" in errors


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "x"])
def test_time_factor_must_be_positive(factor):
    process = start_emulator("--time-factor", factor)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "--time-factor" in errors
