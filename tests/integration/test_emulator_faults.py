"""Each fault of the emulator, and its options, over real sockets: what is to be seen of them."""

import http.client
import json
import re
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import grpc
import pytest
from google.auth import jwt
from google.pubsub_v1 import types

from asgi_tasks.testing import Emulator, emulator_process
from tests.endpoints import Endpoint, RawEndpoint
from tests.integration.testing.pubsub import (
    LONG,
    OPENER,
    QUEUE,
    SECRET,
    TOPIC,
    PubSub,
    statuses,
    until,
)
from tests.processes import running

PROJECT = "shop"  # of TOPIC and QUEUE
FACTOR = 0.01
SHORT = 0.3  # seconds
OTHERS = "projects/shop/topics/others"
OTHERS_QUEUE = "projects/shop/subscriptions/others-sub"
DEAD = "projects/shop/topics/dead"
DEAD_QUEUE = "projects/shop/subscriptions/dead-sub"
ACCOUNT = "invoker@shop.iam.gserviceaccount.com"
AGENT = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"
TOKEN_STARTS = "eyJ"
LOST = "connection lost"


@pytest.fixture(scope="module")
def running_emulator():
    with emulator_process(project=PROJECT, time_factor=FACTOR) as emulator:
        yield emulator


@pytest.fixture
def emulator(running_emulator):
    running_emulator.reset()
    return running_emulator


@pytest.fixture
def endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def pubsub(emulator, endpoint):
    """A topic that is pushed to the endpoint. Time stands still: nothing is retried by itself."""
    pubsub = PubSub(emulator)
    pubsub.subscribe(endpoint.url)
    emulator.clock.freeze()
    return pubsub


def only(emulator, **wanted):
    (message,) = emulator.messages(**wanted)
    return message


def first_delivery(emulator, fault):
    """The first delivery of the only message, once the fault has been drawn for it."""
    return until(
        lambda: next((one for one in only(emulator).deliveries if one.fault == fault), None)
    )


def ended(emulator, count=1):
    """The deliveries, once so many have ended."""

    def found():
        deliveries = [one for one in emulator.deliveries() if one.finished_at]
        return deliveries if len(deliveries) >= count else None

    return until(found)


def ids(endpoint):
    return [push["messageId"] for push in endpoint.pushes]


def by_rest(emulator, call):
    """The HTTP status and Google's name of it; or that there was no answer."""
    try:
        call(PubSub(emulator))
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)["error"]["status"]
    except (ConnectionError, http.client.HTTPException, urllib.error.URLError):
        return LOST
    return 200, "OK"


def publish_by_rest(emulator):
    return by_rest(emulator, lambda pubsub: pubsub.publish())


def by_grpc(emulator, method, request, timeout=20):
    """The code of the answer."""
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(emulator.host, options) as channel:
        call = channel.unary_unary(f"/google.pubsub.v1.Publisher/{method}")
        try:
            call(type(request).serialize(request), timeout=timeout)
        except grpc.RpcError as refused:
            return refused.code().name
    return "OK"


def publish_by_grpc(emulator, **options):
    message = types.PubsubMessage(data=b"x")
    return by_grpc(
        emulator, "Publish", types.PublishRequest(topic=TOPIC, messages=[message]), **options
    )


# Pushes


def test_failed_push_is_not_sent(emulator, endpoint, pubsub):
    emulator.fault("push.fail", count=1, status=429)
    pubsub.publish()
    (failed,) = ended(emulator)
    assert (failed.status, failed.fault) == (429, "push.fail")
    assert only(emulator).state == "waiting"
    assert endpoint.pushes == []

    emulator.clock.advance(LONG * FACTOR)
    assert statuses(ended(emulator, 2)) == [429, 204]
    assert len(endpoint.pushes) == 1


def test_dropped_push_comes_again_after_its_ack_deadline(emulator, endpoint):
    pubsub = PubSub(emulator)
    pubsub.subscribe(endpoint.url, delay=0)
    emulator.clock.freeze()
    emulator.fault("push.drop", count=1)
    pubsub.publish()
    assert first_delivery(emulator, "push.drop").finished_at is None

    emulator.clock.advance(LONG * FACTOR - 0.1)
    assert only(emulator).state == "outstanding"
    assert only(emulator).attempts == 1

    emulator.clock.advance(0.2)
    assert only(emulator).deliveries[0].finished_at is not None
    emulator.clock.advance(1)  # past the push backoff
    dropped, again = ended(emulator, 2)
    assert (dropped.status, again.status, again.attempt) == (None, 204, 2)
    assert len(endpoint.pushes) == 1


def test_duplicated_push_is_sent_twice_at_once_and_acknowledged_once(emulator, endpoint, pubsub):
    endpoint.open.clear()
    emulator.fault("push.duplicate", count=1)
    message_id = pubsub.publish()
    until(lambda: len(endpoint.pushes) == 2)
    assert ids(endpoint) == [message_id] * 2

    endpoint.open.set()
    emulator.wait_until_settled()
    assert [(one.status, one.attempt) for one in emulator.deliveries()] == [(204, 1)] * 2
    assert sorted(one.fault or "" for one in emulator.deliveries()) == ["", "push.duplicate"]
    assert pubsub.status()["subscriptions"][0]["acknowledged"] == 1


def test_delayed_push_is_sent_later(emulator, endpoint, pubsub):
    arrived = []
    endpoint.when_pushed = lambda message: arrived.append(time.monotonic())
    emulator.fault("push.delay", seconds=SHORT, count=1)
    started = time.monotonic()
    pubsub.publish()
    first_delivery(emulator, "push.delay")

    emulator.wait_until_settled()

    (at,) = arrived
    assert at - started >= SHORT
    assert statuses(emulator.deliveries()) == [204]


def test_reordered_push_is_answered_after_a_later_one(emulator, endpoint, pubsub):
    endpoint.open.clear()
    emulator.fault("push.reorder", seconds=LONG, count=1)
    first = pubsub.publish()
    first_delivery(emulator, "push.reorder")
    second = pubsub.publish()
    until(lambda: ids(endpoint) == [second])
    time.sleep(0.1)
    assert ids(endpoint) == [second]  # it is not answered yet

    endpoint.open.set()
    emulator.wait_until_settled()
    assert ids(endpoint) == [second, first]


def test_reordered_push_that_none_follows_is_sent_all_the_same(emulator, endpoint, pubsub):
    emulator.fault("push.reorder", seconds=SHORT, count=1)
    started = time.monotonic()
    pubsub.publish()
    until(lambda: endpoint.pushes)
    assert time.monotonic() - started >= SHORT
    assert statuses(ended(emulator)) == [204]


def test_one_reordered_push_is_held_at_a_time(emulator, endpoint, pubsub):
    emulator.fault("push.reorder", seconds=LONG)
    messages = [{"data": SECRET}] * 4
    published = pubsub.call("POST", f"v1/{TOPIC}:publish", {"messages": messages})
    emulator.wait_until_settled(timeout=10)
    assert sorted(ids(endpoint)) == published["messageIds"]
    assert ids(endpoint)[0] != published["messageIds"][0]


def test_push_whose_connection_is_closed_was_sent_and_comes_again(emulator):
    closed = []

    def wait_for_end(connection, request):
        closed.append(connection.recv(1) == b"")

    endpoint = RawEndpoint(wait_for_end)
    try:
        PubSub(emulator).subscribe(endpoint.url, delay=0)
        emulator.fault("push.close", count=2)
        message_id = PubSub(emulator).publish()
        deliveries = ended(emulator, 2)
        until(lambda: len(closed) == 2)
    finally:
        endpoint.close()
    assert [(one.status, one.fault) for one in deliveries[:2]] == [(None, "push.close")] * 2
    assert [one.attempt for one in deliveries[:2]] == [1, 2]
    assert all(one.error for one in deliveries[:2])
    assert closed == [True, True]
    assert all(message_id.encode() in request for request in endpoint.requests[:2])


# Publishes


@pytest.mark.parametrize(
    ("status", "name"), [(503, "UNAVAILABLE"), (429, "RESOURCE_EXHAUSTED")], ids=["503", "429"]
)
def test_refused_publish_publishes_nothing(emulator, pubsub, status, name):
    emulator.fault("publish.error", count=2, status=status)
    assert publish_by_rest(emulator) == (status, name)
    assert publish_by_grpc(emulator) == name
    assert emulator.messages() == []
    assert publish_by_rest(emulator) == (200, "OK")


def test_hanging_publish_is_refused_in_the_end(emulator, pubsub):
    emulator.fault("publish.hang", count=2, seconds=SHORT)
    for publish, refusal in (
        (publish_by_rest, (503, "UNAVAILABLE")),
        (publish_by_grpc, "UNAVAILABLE"),
    ):
        started = time.monotonic()
        assert publish(emulator) == refusal
        assert time.monotonic() - started >= SHORT
    assert emulator.messages() == []


def test_hanging_publish_is_not_answered(emulator, pubsub):
    emulator.fault("publish.hang", count=1)
    assert publish_by_grpc(emulator, timeout=SHORT) == "DEADLINE_EXCEEDED"
    assert emulator.messages() == []
    assert publish_by_grpc(emulator) == "OK"


def test_publish_whose_connection_is_closed_publishes_nothing(emulator, pubsub):
    emulator.fault("publish.close", count=2)
    assert publish_by_rest(emulator) == LOST
    assert publish_by_grpc(emulator) == "UNAVAILABLE"
    assert emulator.messages() == []


def test_publish_whose_response_is_lost_publishes(emulator, endpoint, pubsub):
    emulator.fault("publish.lose_response", count=2)
    assert publish_by_rest(emulator) == LOST
    assert publish_by_grpc(emulator) == "UNAVAILABLE"
    emulator.wait_until_settled()
    assert len(emulator.messages(state="acknowledged")) == 2
    assert len(set(ids(endpoint))) == 2


# Any call


@pytest.mark.parametrize(
    ("status", "name"),
    [(403, "PERMISSION_DENIED"), (429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")],
    ids=["403", "429", "503"],
)
def test_one_call_is_refused_and_no_other(emulator, pubsub, status, name):
    emulator.fault("call.error", count=2, status=status, call="CreateTopic")
    assert by_grpc(emulator, "GetTopic", types.GetTopicRequest(topic=TOPIC)) == "OK"
    assert publish_by_rest(emulator) == (200, "OK")
    assert by_rest(emulator, lambda pubsub: pubsub.create_topic(OTHERS)) == (status, name)
    assert by_grpc(emulator, "CreateTopic", types.Topic(name=OTHERS)) == name
    assert by_grpc(emulator, "CreateTopic", types.Topic(name=OTHERS)) == "OK"


def test_delayed_call_is_answered_later(emulator, pubsub):
    emulator.fault("call.delay", count=1, seconds=SHORT)
    started = time.monotonic()
    pubsub.create_topic(OTHERS)
    assert time.monotonic() - started >= SHORT


def test_one_call_is_delayed_and_no_other(emulator, pubsub):
    emulator.fault("call.delay", seconds=LONG, call="GetTopic")
    assert by_grpc(emulator, "CreateTopic", types.Topic(name=OTHERS)) == "OK"
    get = types.GetTopicRequest(topic=TOPIC)
    assert by_grpc(emulator, "GetTopic", get, timeout=SHORT) == "DEADLINE_EXCEEDED"


# Which, how often, and where they are told of


@pytest.fixture
def others(pubsub, endpoint):
    """A second topic and its subscription."""
    pubsub.subscribe(endpoint.url, topic=OTHERS, name=OTHERS_QUEUE)


@pytest.mark.parametrize("name", ["receipts-sub", QUEUE])
def test_fault_of_one_subscription_spares_the_others(emulator, pubsub, others, name):
    pubsub.call("POST", "emulator/faults", {"kind": "push.fail", "resource": name})
    pubsub.publish(topic=OTHERS)
    assert statuses(ended(emulator)) == [204]
    pubsub.publish()
    assert statuses(ended(emulator, 2)) == [204, 503]


@pytest.mark.parametrize("name", ["receipts", TOPIC])
def test_fault_of_one_topic_spares_the_others(emulator, pubsub, others, name):
    pubsub.call("POST", "emulator/faults", {"kind": "publish.error", "resource": name})
    pubsub.publish(topic=OTHERS)
    assert publish_by_rest(emulator) == (503, "UNAVAILABLE")


def test_fault_with_a_count_is_used_up(emulator, pubsub):
    emulator.fault("publish.error", count=2)
    remaining = []
    answers = []
    for _ in range(3):
        remaining.append([fault["count"] for fault in pubsub.status()["faults"]])
        answers.append(publish_by_rest(emulator)[0])
    assert remaining == [[2], [1], []]
    assert answers == [503, 503, 200]


def test_fault_without_a_count_happens_until_it_is_cleared(emulator, pubsub):
    emulator.fault("publish.error")
    assert [publish_by_rest(emulator)[0] for _ in range(5)] == [503] * 5
    emulator.clear_faults()
    assert publish_by_rest(emulator) == (200, "OK")


def test_first_fault_that_fits_is_the_one(emulator, pubsub):
    emulator.fault("publish.error", count=1, status=429)
    emulator.fault("publish.error", count=1, status=503)
    assert [publish_by_rest(emulator)[0] for _ in range(3)] == [429, 503, 200]


def test_status_shows_the_faults(emulator, pubsub):
    emulator.fault("push.delay", rate=0.25, count=3, seconds=2, subscription=QUEUE)
    emulator.fault("publish.error", status=429)
    assert pubsub.status()["faults"] == [
        {
            "kind": "push.delay",
            "rate": 0.25,
            "count": 3,
            "resource": QUEUE,
            "status": None,
            "seconds": 2.0,
        },
        {
            "kind": "publish.error",
            "rate": 1.0,
            "count": None,
            "resource": None,
            "status": 429,
            "seconds": None,
        },
    ]
    assert pubsub.call("GET", "emulator/faults") == {"faults": pubsub.status()["faults"]}


def dice(emulator, count=40):
    """Which of so many calls went wrong."""
    emulator.fault("call.error", rate=0.5)
    return [
        by_rest(emulator, lambda pubsub: pubsub.call("GET", f"v1/projects/{PROJECT}/topics"))
        for _ in range(count)
    ]


def test_seed_repeats_the_dice():
    with emulator_process(seed=5) as emulator:
        first = dice(emulator)
        assert PubSub(emulator).status()["seed"] == 5
        emulator.reset()
        after_reset = dice(emulator)
    with emulator_process(seed=5) as emulator:
        again = dice(emulator)
    with emulator_process(seed=6) as emulator:
        others = dice(emulator)
    assert {200, 503} == {status for status, _ in first}
    assert first == again
    assert first != others
    assert first == after_reset


def test_command_line_takes_faults(endpoint):
    faults = [
        "push.fail:count=1,status=429,resource=receipts-sub",
        f"publish.error:count=1,status=429,resource={TOPIC}",
        "call.error:count=1,status=403,resource=DeleteTopic",
        f"publish.hang:count=1,seconds={SHORT},resource=others",
        "publish.lose_response:count=1,resource=receipts",
    ]
    with emulator_process(project=PROJECT, time_factor=FACTOR, faults=faults) as emulator:
        pubsub = PubSub(emulator)
        pubsub.subscribe(endpoint.url, delay=0)
        pubsub.create_topic(OTHERS)
        shown = [
            (fault["kind"], fault["resource"], fault["status"], fault["seconds"])
            for fault in pubsub.status()["faults"]
        ]
        delete = by_rest(emulator, lambda pubsub: pubsub.call("DELETE", f"v1/{OTHERS}"))
        published = [publish_by_rest(emulator) for _ in range(2)]
        started = time.monotonic()
        hung = by_rest(emulator, lambda pubsub: pubsub.publish(topic=OTHERS))
        took = time.monotonic() - started
        emulator.wait_until_settled()
        deliveries = statuses(emulator.deliveries())
        assert pubsub.status()["faults"] == []
    assert shown == [
        ("push.fail", QUEUE, 429, None),
        ("publish.error", TOPIC, 429, None),
        ("call.error", "DeleteTopic", 403, None),
        ("publish.hang", OTHERS, None, SHORT),
        ("publish.lose_response", TOPIC, None, None),
    ]
    assert delete == (403, "PERMISSION_DENIED")
    assert published == [(429, "RESOURCE_EXHAUSTED"), LOST]
    assert hung == (503, "UNAVAILABLE")
    assert took >= SHORT
    assert deliveries == [429, 204]


# Options


class CertificateCache:
    """Certificates as a careful client has them: no longer than they may be kept."""

    def __init__(self, emulator):
        self._url = emulator.certs_url
        self._until = 0.0
        self._certificates = {}
        self.fetched = 0

    def __call__(self):
        if time.monotonic() >= self._until:
            asked = time.monotonic()
            with OPENER.open(self._url, timeout=10) as answer:
                max_age = int(re.search(r"max-age=(\d+)", answer.headers["Cache-Control"])[1])
                self._certificates = json.load(answer)
            self._until = asked + max_age
            self.fetched += 1
        return self._certificates


def test_rotated_keys_verify_with_certificates_that_may_be_cached(endpoint):
    checked, failures = [], []
    push = {"pushEndpoint": endpoint.url, "oidcToken": {"serviceAccountEmail": ACCOUNT}}

    with emulator_process(project=PROJECT, rotate_keys=1) as emulator:
        certificates = CertificateCache(emulator)
        pubsub = PubSub(emulator)
        pubsub.subscribe(None, pushConfig=push)

        def verify(message):
            token = endpoint.tokens[len(checked) + len(failures)]
            try:
                jwt.decode(token, certs=certificates(), audience=endpoint.url)
            except ValueError as error:
                failures.append(error)
            else:
                checked.append(jwt.decode_header(token)["kid"])

        certificates()
        endpoint.when_pushed = verify

        def publish_and_look():
            pubsub.publish()
            emulator.wait_until_settled()
            time.sleep(0.1)
            return failures or len(set(checked)) >= 4

        until(publish_and_look)

    assert failures == []
    assert certificates.fetched >= 2
    order = list(dict.fromkeys(checked))
    assert [kid for i, kid in enumerate(checked) if i == 0 or checked[i - 1] != kid] == order


def test_dead_letters_want_the_service_agents_roles(endpoint):
    policy = {"deadLetterTopic": DEAD, "maxDeliveryAttempts": 5}
    endpoint.when_pushed = lambda message: 500
    with emulator_process(project=PROJECT, time_factor=0.0001, enforce_iam=True) as emulator:
        pubsub = PubSub(emulator)
        pubsub.subscribe(None, topic=DEAD, name=DEAD_QUEUE)
        pubsub.subscribe(endpoint.url, delay=0, deadLetterPolicy=policy)
        message_id = pubsub.publish()
        until(lambda: emulator.messages(topic=TOPIC)[0].attempts >= 8)
        assert only(emulator).state in {"waiting", "outstanding"}
        assert pubsub.status()["dead_letters"] == []

        grant(pubsub, QUEUE, "roles/pubsub.subscriber")
        before = only(emulator).attempts
        until(lambda: only(emulator).attempts >= before + 7)
        assert pubsub.status()["dead_letters"] == []

        grant(pubsub, DEAD, "roles/pubsub.publisher")
        until(lambda: only(emulator, topic=TOPIC).state == "dead_lettered")
        (dead,) = emulator.messages(topic=DEAD)
    assert dead.message_id != message_id
    assert dead.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def grant(pubsub, resource, role):
    policy = {"bindings": [{"role": role, "members": [AGENT]}]}
    pubsub.call("POST", f"v1/{resource}:setIamPolicy", {"policy": policy})


@contextmanager
def command(*options):
    """A process as in a shell, and its emulator."""
    arguments = ("--port", "0", "--project", PROJECT, "--time-factor", str(FACTOR), *options)
    with running(sys.executable, "-m", "asgi_tasks.emulator", *arguments) as process:
        yield process, Emulator(process.wait_for(r"listening on (http://\S+)")[1])


def deliver_some(emulator, endpoint):
    """Some deliveries of all sorts, with tokens and data; the deliveries."""
    pubsub = PubSub(emulator)
    push = {"pushEndpoint": endpoint.url, "oidcToken": {"serviceAccountEmail": ACCOUNT}}
    pubsub.subscribe(None, pushConfig=push, delay=0)
    endpoint.answers = [500, 204, 302]
    emulator.fault("push.fail", count=1, status=429)
    for _ in range(3):
        pubsub.publish()
        emulator.wait_until_settled()
    emulator.redeliver_last()
    assert endpoint.tokens[0].startswith(TOKEN_STARTS)
    return emulator.deliveries()


def test_verbose_writes_one_line_a_delivery(endpoint):
    with command("--verbose") as (process, emulator):
        deliveries = deliver_some(emulator, endpoint)
    lines = [line for line in process.output.splitlines() if "listening on" not in line]
    told = [
        re.fullmatch(r"\S+ \S+ (\S+) message (\d+) attempt (\d+): (\d+) in \d+ ms", line).groups()
        for line in lines
    ]
    wanted = [(QUEUE, one.message_id, str(one.attempt), str(one.status)) for one in deliveries]
    assert len(wanted) == 7
    assert sorted(told) == sorted(wanted)
    assert TOKEN_STARTS not in process.output
    assert SECRET not in process.output
    assert "secret" not in process.output


def test_without_verbose_nothing_is_written(endpoint):
    with command() as (process, emulator):
        deliver_some(emulator, endpoint)
    assert re.fullmatch(r"asgi_tasks emulator: listening on http://\S+\n", process.output)
