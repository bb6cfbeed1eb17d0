"""The emulator as a process of its own, with the clients as they come and a real push endpoint."""

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
from gcloud.aio import pubsub as gcloud_aio
from google.api_core import exceptions
from google.auth import jwt
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types

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
            "--port", "0", "--time-factor", "0.001", "--verbose", stderr=stderr
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


# The clients


async def test_google_sync_clients_publish_and_pull(names):
    def use():
        publisher = pubsub_v1.PublisherClient()
        with pubsub_v1.SubscriberClient() as subscriber:
            publisher.create_topic(name=names.topic)
            subscriber.create_subscription(name=names.subscription, topic=names.topic)
            message_id = publisher.publish(names.topic, b"hello", colour="blue").result(PATIENCE)
            pulled = subscriber.pull(subscription=names.subscription, max_messages=5)
            [received] = pulled.received_messages
            subscriber.acknowledge(subscription=names.subscription, ack_ids=[received.ack_id])
            listed = [topic.name for topic in publisher.list_topics(project=names.project)]
        publisher.stop()
        publisher.transport.close()
        return message_id, received.message, listed

    message_id, message, listed = await asyncio.to_thread(use)

    assert message.message_id == message_id
    assert message.data == b"hello"
    assert dict(message.attributes) == {"colour": "blue"}
    assert listed == [names.topic]


async def test_google_async_clients_publish_and_pull(publisher, subscriber, names):
    await publisher.create_topic(name=names.topic)
    await subscriber.create_subscription(name=names.subscription, topic=names.topic)
    published = await publisher.publish(topic=names.topic, messages=[{"data": b"hello"}])
    pulled = await subscriber.pull(subscription=names.subscription, max_messages=5)
    [received] = pulled.received_messages
    assert [received.message.message_id] == list(published.message_ids)
    assert received.message.data == b"hello"


async def test_gcloud_aio_clients_publish_and_pull(names):
    async with aiohttp.ClientSession() as session:
        publisher = gcloud_aio.PublisherClient(session=session)
        subscriber = gcloud_aio.SubscriberClient(session=session)
        await publisher.create_topic(names.topic)
        await subscriber.create_subscription(names.subscription, names.topic)
        published = await publisher.publish(
            names.topic, [gcloud_aio.PubsubMessage(b"hello", colour="blue")]
        )
        [received] = await subscriber.pull(names.subscription, 5)
        await subscriber.acknowledge(names.subscription, [received.ack_id])
        listed = await subscriber.list_subscriptions(names.project)

    assert published == {"messageIds": [received.message_id]}
    assert received.data == b"hello"
    assert received.attributes == {"colour": "blue"}
    assert [one["name"] for one in listed["subscriptions"]] == [names.subscription]


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


async def test_push_has_googles_body_and_headers(publisher, subscriber, sink, names, rest):
    await subscribe(publisher, subscriber, names, sink.url)
    message = {"data": b"hello", "attributes": {"a": "b"}, "ordering_key": "k"}
    published = await publisher.publish(topic=names.topic, messages=[message])

    [push] = await sink.received(1)

    published_at = push.body["message"]["publishTime"]
    assert push.headers["Content-Type"] == "application/json"
    assert push.body == {
        "message": {
            "data": base64.b64encode(b"hello").decode(),
            "attributes": {"a": "b"},
            "messageId": published.message_ids[0],
            "message_id": published.message_ids[0],
            "publishTime": published_at,
            "publish_time": published_at,
            "orderingKey": "k",
        },
        "subscription": names.subscription,
    }
    [entry] = await record_of(rest, names.subscription)
    assert entry.pop("published_at") == published_at
    [delivery] = entry.pop("deliveries")
    assert delivery["sent_at"] < delivery["finished_at"]
    assert (delivery["attempt"], delivery["status"]) == (1, 204)
    assert entry == {
        "message_id": published.message_ids[0],
        "topic": names.topic,
        "subscription": names.subscription,
        "attributes": {"a": "b"},
        "state": "acknowledged",
    }


async def test_unset_fields_are_left_out_of_the_body(publisher, subscriber, sink, names):
    await subscribe(publisher, subscriber, names, sink.url)
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    [push] = await sink.received(1)
    assert set(push.body) == {"message", "subscription"}
    assert not {"attributes", "orderingKey"} & set(push.body["message"])


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


async def test_push_without_a_service_account_has_no_token(publisher, subscriber, sink, names):
    await subscribe(publisher, subscriber, names, sink.url, push_config={"push_endpoint": sink.url})
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    [push] = await sink.received(1)
    assert "Authorization" not in push.headers


async def test_nacked_push_comes_again_with_its_attempts_counted(
    publisher, subscriber, sink, names, rest
):
    policy = await dead_letters(publisher, subscriber, names)
    await subscribe(publisher, subscriber, names, sink.url, dead_letter_policy=policy)
    sink.answers = [500, 400]
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])

    pushes = await sink.received(3)

    assert [push.body["deliveryAttempt"] for push in pushes] == [1, 2, 3]
    assert len({push.body["message"]["messageId"] for push in pushes}) == 1
    [entry] = await record_of(rest, names.subscription)
    assert [one["status"] for one in entry["deliveries"]] == [500, 400, 204]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_acknowledging_answer_ends_it(publisher, subscriber, sink, names, rest, status):
    await subscribe(publisher, subscriber, names, sink.url)
    sink.answers = [status]
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    [entry] = await record_of_finished(rest, names.subscription)
    assert [one["status"] for one in entry["deliveries"]] == [status]


@pytest.mark.parametrize("status", [203, 206, 302, 400, 401, 404, 429, 500, 503])
async def test_any_other_answer_is_a_nack(publisher, subscriber, sink, names, rest, status):
    await subscribe(publisher, subscriber, names, sink.url)
    sink.answers = [status]
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    [entry] = await record_of_finished(rest, names.subscription)
    assert [one["status"] for one in entry["deliveries"]] == [status, 204]


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


async def test_spent_message_is_forwarded_and_can_be_pulled(
    publisher, subscriber, sink, names, rest
):
    policy = await dead_letters(publisher, subscriber, names)
    await subscribe(publisher, subscriber, names, sink.url, dead_letter_policy=policy)
    sink.answers = [500] * 5
    message = {"data": b"poison", "attributes": {"a": "b"}}
    await publisher.publish(topic=names.topic, messages=[message])

    [entry] = await record_of_finished(rest, names.subscription)
    pulled = await subscriber.pull(subscription=names.dead_subscription, max_messages=10)

    [received] = pulled.received_messages
    attributes = dict(received.message.attributes)
    assert entry["state"] == "dead_lettered"
    assert [one["attempt"] for one in entry["deliveries"]] == [1, 2, 3, 4, 5]
    assert received.message.data == b"poison"
    assert attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime")
    assert attributes == {
        "a": "b",
        "CloudPubSubDeadLetterSourceSubscription": "tasks-sub",
        "CloudPubSubDeadLetterSourceSubscriptionProject": names.project.removeprefix("projects/"),
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
    }


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


async def test_nacked_pull_comes_again(publisher, subscriber, names):
    await publisher.create_topic(name=names.topic)
    await subscriber.create_subscription(name=names.subscription, topic=names.topic)
    await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    pull = {"subscription": names.subscription, "max_messages": 5}
    [first] = (await subscriber.pull(request=pull)).received_messages
    assert not (await subscriber.pull(request=pull)).received_messages

    await subscriber.modify_ack_deadline(
        subscription=names.subscription, ack_ids=[first.ack_id], ack_deadline_seconds=0
    )

    [second] = (await subscriber.pull(request=pull)).received_messages
    assert second.message.message_id == first.message.message_id
    assert second.ack_id != first.ack_id


async def test_pull_that_waits_gets_what_is_published_meanwhile(publisher, subscriber, names):
    await publisher.create_topic(name=names.topic)
    await subscriber.create_subscription(name=names.subscription, topic=names.topic)
    pulling = asyncio.create_task(subscriber.pull(subscription=names.subscription, max_messages=1))
    await asyncio.sleep(0.1)
    await publisher.publish(topic=names.topic, messages=[{"data": b"late"}])
    [received] = (await pulling).received_messages
    assert received.message.data == b"late"


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


async def test_push_subscription_cannot_be_pulled(publisher, subscriber, sink, names):
    await subscribe(publisher, subscriber, names, sink.url)
    with pytest.raises(exceptions.FailedPrecondition):
        await subscriber.pull(subscription=names.subscription, max_messages=1)


# Administration


async def test_subscription_is_updated_by_mask(publisher, subscriber, sink, names):
    await subscribe(publisher, subscriber, names, sink.url, ack_deadline_seconds=20)
    wanted = types.Subscription(
        name=names.subscription,
        ack_deadline_seconds=99,
        retry_policy={"minimum_backoff": {"seconds": 5}},
        expiration_policy={},
    )
    await subscriber.update_subscription(
        subscription=wanted, update_mask={"paths": ["retry_policy", "expiration_policy"]}
    )
    live = await subscriber.get_subscription(subscription=names.subscription)
    assert live.ack_deadline_seconds == 20
    assert live.retry_policy.minimum_backoff.seconds == 5
    assert "ttl" not in live.expiration_policy
    assert live.push_config.push_endpoint == sink.url


@pytest.mark.parametrize(
    "mask", ["ackDeadlineSeconds,retryPolicy", "ack_deadline_seconds,retry_policy"]
)
@pytest.mark.parametrize("camel", [True, False])
async def test_rest_takes_both_spellings(rest, names, mask, camel):
    deadline, retry, minimum, update_mask = (
        ("ackDeadlineSeconds", "retryPolicy", "minimumBackoff", "updateMask")
        if camel
        else ("ack_deadline_seconds", "retry_policy", "minimum_backoff", "update_mask")
    )
    url = f"/v1/{names.subscription}"
    await rest.put(f"/v1/{names.topic}")
    async with rest.put(url, json={"topic": names.topic, deadline: 20}) as answer:
        assert (await answer.json())["ackDeadlineSeconds"] == 20
    body = {"subscription": {deadline: 30, retry: {minimum: "1.5s"}}, update_mask: mask}
    async with rest.patch(url, json=body) as answer:
        assert answer.status == 200
    async with rest.get(url) as answer:
        live = await answer.json()
    assert live["ackDeadlineSeconds"] == 30
    assert live["retryPolicy"] == {"minimumBackoff": "1.500s", "maximumBackoff": "600s"}


async def test_lists_come_in_pages(publisher, rest, names):
    wanted = [f"{names.topic}-{number}" for number in range(5)]
    for name in wanted:
        await publisher.create_topic(name=name)
    paged = await publisher.list_topics(request={"project": names.project, "page_size": 2})
    assert [topic.name async for topic in paged] == wanted

    async with rest.get(f"/v1/{names.project}/topics?pageSize=3&alt=json") as answer:
        page = await answer.json()
    token = page["nextPageToken"]
    async with rest.get(f"/v1/{names.project}/topics?page_token={token}") as answer:
        last = await answer.json()
    assert [topic["name"] for topic in page["topics"] + last["topics"]] == wanted
    assert "nextPageToken" not in last


async def test_topic_lists_its_subscriptions(publisher, subscriber, rest, sink, names):
    await subscribe(publisher, subscriber, names, sink.url)
    listed = await publisher.list_topic_subscriptions(topic=names.topic)
    assert [name async for name in listed] == [names.subscription]
    async with rest.get(f"/v1/{names.topic}/subscriptions") as answer:
        assert await answer.json() == {"subscriptions": [names.subscription]}


async def test_deleted_topic_and_subscription_are_gone(publisher, subscriber, sink, names):
    await subscribe(publisher, subscriber, names, sink.url)
    await publisher.delete_topic(topic=names.topic)
    orphan = await subscriber.get_subscription(subscription=names.subscription)
    assert orphan.topic == "_deleted-topic_"
    await subscriber.delete_subscription(subscription=names.subscription)
    with pytest.raises(exceptions.NotFound):
        await subscriber.get_subscription(subscription=names.subscription)
    with pytest.raises(exceptions.NotFound):
        await publisher.get_topic(topic=names.topic)


# Refusals


async def test_grpc_refusals_have_googles_codes(publisher, subscriber, names):
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=tasks\)"):
        await publisher.publish(topic=names.topic, messages=[{"data": b"x"}])
    await publisher.create_topic(name=names.topic)
    with pytest.raises(exceptions.AlreadyExists):
        await publisher.create_topic(name=names.topic)
    with pytest.raises(exceptions.InvalidArgument, match="ack_deadline_seconds"):
        await subscriber.create_subscription(
            request={
                "name": names.subscription,
                "topic": names.topic,
                "ack_deadline_seconds": 5,
            }
        )
    with pytest.raises(exceptions.MethodNotImplemented):
        await subscriber.create_snapshot(
            name=f"{names.project}/snapshots/snap", subscription=names.subscription
        )


@pytest.mark.parametrize(
    ("verb", "path", "body", "code", "status"),
    [
        ("GET", "/v1/projects/p/topics/nothing", b"", 404, "NOT_FOUND"),
        ("PUT", "/v1/projects/p/topics/1", b"", 400, "INVALID_ARGUMENT"),
        ("PUT", "/v1/projects/p/topics/tasks", b"{", 400, "INVALID_ARGUMENT"),
        ("PUT", "/v1/projects/p/topics/tasks", b"[]", 400, "INVALID_ARGUMENT"),
        ("PUT", "/v1/projects/p/topics/tasks", b"\xff", 400, "INVALID_ARGUMENT"),
        ("PUT", "/v1/projects/p/topics/tasks", b'{"colour": 1}', 400, "INVALID_ARGUMENT"),
        ("POST", "/v1/projects/p/topics/nothing:publish", b"{}", 400, "INVALID_ARGUMENT"),
        ("GET", "/v1/projects/p/topics?pageSize=x", b"", 400, "INVALID_ARGUMENT"),
        ("PUT", "/v1/projects/p/snapshots/snap", b"{}", 501, "UNIMPLEMENTED"),
        ("POST", "/v1/projects/p/subscriptions/sub:seek", b"{}", 501, "UNIMPLEMENTED"),
        ("PATCH", "/v1/projects/p/topics/tasks", b"{}", 501, "UNIMPLEMENTED"),
        ("GET", "/nothing", b"", 404, "NOT_FOUND"),
    ],
)
async def test_rest_refusals_have_googles_form(rest, verb, path, body, code, status):
    async with rest.request(verb, path, data=body) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["code"], error["status"]) == (code, code, status)
    assert error["message"]


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


async def test_second_creation_over_rest_is_a_conflict(rest, names):
    await rest.put(f"/v1/{names.topic}")
    async with rest.put(f"/v1/{names.topic}") as answer:
        assert answer.status == 409
        assert (await answer.json())["error"]["status"] == "ALREADY_EXISTS"


# The emulator's own pages


async def test_own_pages_answer(rest, publisher, subscriber, names):
    async with rest.get("/emulator/health") as answer:
        assert answer.status == 200
    async with rest.get("/") as answer:
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


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "x"])
def test_time_factor_must_be_positive(factor):
    process = start_emulator("--time-factor", factor)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "--time-factor" in errors
