"""Endpoints and clients that mean the emulator harm, on real sockets: nobody else notices."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import socket
import struct
import sys
import time
from pathlib import Path
from random import Random

import aiohttp
import grpc
import pytest
from google.pubsub_v1 import types

from asgi_tasks.emulator.server import Options
from asgi_tasks.emulator.server import emulator as serving_emulator
from asgi_tasks.testing import Emulator
from tests.endpoints import Endpoint, RawEndpoint
from tests.integration.testing.pubsub import QUEUE, SECRET, TOPIC, PubSub, until
from tests.processes import running

GOOD = "projects/shop/topics/good"
GOOD_QUEUE = "projects/shop/subscriptions/good-sub"
ACCOUNT = "invoker@shop.iam.gserviceaccount.com"
TOKEN_STARTS = "eyJ"
AT_ONCE = 3  # seconds, on a busy machine; what is not noticed takes some milliseconds
ACK_DEADLINE = 10  # seconds, the shortest there is
ANNOUNCEMENT = r"asgi_tasks emulator: listening on (http://\S+)\n"
DELIVERY = r"\S+ \S+ projects/\S+ message \d+ attempt \d+: .+ in \d+ ms"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def process():
    """The emulator; it must not write anything but one line a delivery."""
    options = ("--port", "0", "--project", "shop", "--push-window", "1000", "--verbose")
    command = (sys.executable, "-m", "asgi_tasks.emulator", *options)
    with running(*command) as process:
        process.wait_for(ANNOUNCEMENT)
        yield process
    announcement, *lines = process.output.splitlines()
    assert re.fullmatch(ANNOUNCEMENT, announcement + "\n")
    assert [line for line in lines if not re.fullmatch(DELIVERY, line)] == []
    assert TOKEN_STARTS not in process.output
    assert SECRET not in process.output


@pytest.fixture
def emulator(process):
    emulator = Emulator(process.wait_for(ANNOUNCEMENT)[1])
    emulator.reset()
    return emulator


@pytest.fixture
def good():
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def pubsub(emulator, good):
    """Has a topic that is pushed to an endpoint as it should be."""
    pubsub = PubSub(emulator)
    pubsub.subscribe(good.url, topic=GOOD, name=GOOD_QUEUE)
    return pubsub


def push_to(pubsub, url, *, topic=TOPIC, name=QUEUE, **message):
    """Have a message pushed with a token."""
    push = {"pushEndpoint": url, "oidcToken": {"serviceAccountEmail": ACCOUNT}}
    pubsub.subscribe(None, topic=topic, name=name, pushConfig=push, ackDeadlineSeconds=ACK_DEADLINE)
    pubsub.publish(topic=topic, **message)


def expect_served(emulator, pubsub):
    """Another subscription's message is delivered at once."""
    started = time.monotonic()
    message_id = pubsub.publish(topic=GOOD)
    until(lambda: message_id in acknowledged(emulator))
    assert time.monotonic() - started < AT_ONCE


def acknowledged(emulator):
    found = emulator.messages(subscription=GOOD_QUEUE, state="acknowledged")
    return {message.message_id for message in found}


def delivery_to(emulator, name=QUEUE):
    (message,) = emulator.messages(subscription=name)
    return message.deliveries[0] if message.deliveries else None


def ended_delivery(emulator, name=QUEUE, timeout=20):
    """The first delivery of a subscription's message, once it has ended."""
    deadline = time.monotonic() + timeout
    while (delivery := delivery_to(emulator, name)) is None or delivery.finished_at is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return delivery


def memory(process):
    """Resident, in bytes."""
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208 - a count


# Endpoints


def reset(connection, request=b""):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def endlessly(start, chunk, pause=0.0):
    def answer(connection, request):
        connection.sendall(start)
        while True:
            connection.sendall(chunk)
            time.sleep(pause)

    return answer


def answering(answer):
    return lambda connection, request: connection.sendall(answer)


def echoing(before, after=b"\r\n\r\n"):
    """What we sent comes back, the token on a line of its own and the data too."""

    def answer(connection, request):
        token = re.search(rb"(?i)authorization: (.+)\r\n", request)[1]
        connection.sendall(before + token + b" " + SECRET.encode() + after)

    return answer


def echoing_all(before):
    return lambda connection, request: connection.sendall(before + request + b"\r\n\r\n")


BAD_ANSWERS = {
    "nothing": lambda connection, request: None,
    "reset": reset,
    "garbage": answering(b"\x00\xff\xfe garbage\r\n\r\n"),
    "garbage_without_an_end": answering(b"\x16\x03\x01" * 50_000),
    "tls": answering(b"\x15\x03\x03\x00\x02\x02\x46"),
    "http2": answering(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18),
    "half_a_status_line": answering(b"HTTP/1.1 20"),
    "half_a_head": answering(b"HTTP/1.1 204 No Content\r\nContent-Le"),
    "status_of_four_digits": answering(b"HTTP/1.1 2044 Fine\r\n\r\n"),
    "status_that_is_none": answering(b"HTTP/1.1 two hundred\r\n\r\n"),
    "another_version": answering(b"HTTP/9.9.9 200 OK\r\n\r\n"),
    "length_that_is_none": answering(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    "two_lengths": answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
    ),
    "bad_chunk": answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n"),
    "promise_broken_off": answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    "promise_half_kept": answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello"),
    "chunk_broken_off": answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n"),
    "interim_and_the_end": answering(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "processing_and_the_end": answering(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "endless_status_line": endlessly(b"HTTP/1.1 200 ", b"O" * 65_536),
    "endless_header": endlessly(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65_536),
    "endless_garbage": endlessly(b"", b"\xff" * 65_536),
    "token_as_status_line": echoing(b""),
    "token_as_version": echoing(b"HTTP/1.1"),
    "token_as_status": echoing(b"HTTP/1.1 "),
    "token_as_header_without_colon": echoing(b"HTTP/1.1 200 OK\r\n"),
    "token_in_header_name": echoing(b"HTTP/1.1 200 OK\r\n", b": x\r\n\r\n"),
    "token_in_header": echoing(b"HTTP/1.1 200 OK\r\nX: \x00"),
    "token_in_half_a_head": echoing(b"HTTP/1.1 200 OK\r\nX: ", b"\r\nY: z"),
    "token_in_half_a_head_of_no_length": echoing(b"HTTP/1.1 200 OK\r\nX: ", b"\r\n"),
    "token_as_half_a_reason": echoing(b"HTTP/1.1 200 ", b""),
    "token_as_length": echoing(b"HTTP/1.1 200 OK\r\nContent-Length: "),
    "token_as_chunk": echoing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "request_as_answer": echoing_all(b""),
    "request_as_headers": echoing_all(b"HTTP/1.1 200 OK\r\n"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answer_is_a_failed_delivery_and_nobody_else_notices(emulator, pubsub, name):
    bad = RawEndpoint(BAD_ANSWERS[name])
    try:
        push_to(pubsub, bad.url)
        expect_served(emulator, pubsub)
        delivery = ended_delivery(emulator, timeout=ACK_DEADLINE - 2)
    finally:
        bad.close()
    assert delivery.status is None
    assert delivery.error
    assert "\n" not in delivery.error
    assert TOKEN_STARTS not in delivery.error
    assert SECRET not in delivery.error
    assert bad.requests[0].startswith(b"POST /push/ HTTP/1.1\r\n")
    shown = json.dumps(pubsub.status())
    assert TOKEN_STARTS not in shown
    assert SECRET not in shown


@pytest.mark.parametrize("behave", [lambda connection, request: None, reset], ids=["close", "rst"])
def test_connection_that_ends_before_the_request_is_read_is_a_failed_delivery(
    emulator, pubsub, behave
):
    bad = RawEndpoint(behave, reads=False)
    try:
        push_to(pubsub, bad.url, data=base64.b64encode(b"x" * MEGABYTE).decode())
        expect_served(emulator, pubsub)
        delivery = ended_delivery(emulator, timeout=ACK_DEADLINE - 2)
    finally:
        bad.close()
    assert delivery.status is None
    assert delivery.error


def test_redirect_is_a_failed_delivery_and_not_followed(emulator, pubsub, good):
    head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {good.url}\r\nContent-Length: 0\r\n\r\n"
    bad = RawEndpoint(answering(head.encode()))
    try:
        push_to(pubsub, bad.url)
        delivery = ended_delivery(emulator)
        expect_served(emulator, pubsub)
    finally:
        bad.close()
    assert (delivery.status, delivery.error) == (307, None)
    assert len(good.pushes) == 1


@pytest.mark.parametrize("cookie", ["{0}", "a{{b={0}", "a={0}; Expires={0}", "\x01={0}", "={0}"])
def test_token_sent_back_as_a_cookie_is_not_logged(emulator, pubsub, cookie):
    """The log is looked at when the process has ended."""

    def answer(connection, request):
        token = re.search(rb"(?i)authorization: Bearer (.+)\r\n", request)[1].decode()
        head = f"HTTP/1.1 500 No\r\nSet-Cookie: {cookie.format(token)}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    bad = RawEndpoint(answer)
    try:
        push_to(pubsub, bad.url)
        ended_delivery(emulator)
    finally:
        bad.close()


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 500 No\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 1000000000000\r\n\r\n",
        b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["until_closed", "by_length", "chunked"],
)
def test_endless_answer_is_not_read_to_its_end(process, emulator, pubsub, start):
    sent = []
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

    def answer(connection, request):
        connection.sendall(start)
        while True:
            connection.sendall(chunk)
            sent.append(len(chunk))

    before = memory(process)
    bad = RawEndpoint(answer)
    try:
        push_to(pubsub, bad.url)
        expect_served(emulator, pubsub)
        delivery = ended_delivery(emulator, timeout=ACK_DEADLINE - 2)
        until(lambda: len(sent) == (time.sleep(0.2) or len(sent)))  # it has stopped reading
    finally:
        bad.close()
    assert delivery.status == 500
    assert (delivery.finished_at - delivery.sent_at).total_seconds() < AT_ONCE
    assert sum(sent) < 50 * MEGABYTE
    assert memory(process) - before < 50 * MEGABYTE


def test_endpoint_that_never_answers_has_until_the_ack_deadline(emulator, pubsub):
    ok = b"HTTP/1.1 200 OK\r\n"
    silences = {
        "silent": b"",
        "half-a-head": ok,
        "interim": b"HTTP/1.1 102 Processing\r\n\r\n",
        "promise": ok + b"Content-Length: 1000\r\n\r\n",
        "chunks": ok + b"Transfer-Encoding: chunked\r\n\r\n",
    }
    drips = {
        "drip": endlessly(ok, b"X: y\r\n", pause=0.3),
        "drip-of-a-body": endlessly(ok + b"Content-Length: 1000\r\n\r\n", b"x", pause=0.3),
        "interims": endlessly(b"", b"HTTP/1.1 102 Processing\r\n\r\n", pause=0.01),
    }
    endpoints = {}

    def silence(name):
        def behave(connection, request):
            connection.sendall(silences[name])
            endpoints[name].closing.wait(60)

        return behave

    try:
        for name in silences:
            endpoints[name] = RawEndpoint(silence(name))
        for name, behave in drips.items():
            endpoints[name] = RawEndpoint(behave)
        endpoints["unread"] = RawEndpoint(
            lambda connection, request: endpoints["unread"].closing.wait(60), reads=False
        )
        for name, endpoint in endpoints.items():
            big = {"data": "x" * 8 * MEGABYTE} if name == "unread" else {}
            topic, queue = f"projects/shop/topics/{name}", queue_of(name)
            push_to(pubsub, endpoint.url, topic=topic, name=queue, **big)
        until(lambda: all(endpoint.requests for endpoint in endpoints.values()))
        for _ in range(20):
            expect_served(emulator, pubsub)
        under_way = [delivery_to(emulator, queue_of(name)).finished_at for name in endpoints]
        deliveries = {name: ended_delivery(emulator, queue_of(name)) for name in endpoints}
    finally:
        for endpoint in endpoints.values():
            endpoint.close()
    assert under_way == [None] * len(endpoints)
    assert {(one.status, one.error) for one in deliveries.values()} == {
        (None, f"no answer within {ACK_DEADLINE} s")
    }
    for name, one in deliveries.items():
        seconds = (one.finished_at - one.sent_at).total_seconds()
        assert ACK_DEADLINE <= seconds < ACK_DEADLINE + AT_ONCE, name


def queue_of(name):
    return f"projects/shop/subscriptions/{name}-sub"


# Clients


def connect(emulator):
    host, _, port = emulator.host.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


HALVES = {
    "nothing": b"",
    "half_a_request_line": b"GET /emulator/hea",
    "half_a_preface": b"PRI * HTTP/2.0\r\n\r\nS",
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "preface_and_garbage": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000,
    "half_a_head": b"GET /emulator/health HTTP/1.1\r\nHost: x\r\nX-",
    "no_body": b"POST /emulator/clock HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
    "half_a_body": b"POST /emulator/clock HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    "half_a_chunk": b"POST /emulator/clock HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    "endless_head": b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
}


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
def test_thousands_of_connections_are_opened_and_left(process, emulator, pubsub, leave):
    expect_served(emulator, pubsub)
    before = open_files(process)
    with contextlib.ExitStack() as stack:
        connections = []
        for beginning in HALVES.values():
            for _ in range(200):
                connection = stack.enter_context(connect(emulator))
                with contextlib.suppress(ConnectionError):
                    connection.sendall(beginning)
                connections.append(connection)
        until(lambda: open_files(process) > before + 1000)
        expect_served(emulator, pubsub)
        for connection in connections:
            leave(connection)
    expect_served(emulator, pubsub)
    until(lambda: open_files(process) <= before)


def test_clients_that_go_before_the_answer_are_not_noticed(process, emulator, pubsub):
    before = open_files(process)
    body = json.dumps({"messages": [{"data": SECRET}] * 100}).encode()
    head = f"POST /v1/{TOPIC}:publish HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    pubsub.create_topic(TOPIC)
    for path in (b"/", b"/emulator/messages", b"/emulator/status"):
        for _ in range(20):
            for request in (b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n", head.encode() + body):
                connection = connect(emulator)
                connection.sendall(request)
                reset(connection)
    expect_served(emulator, pubsub)
    until(lambda: open_files(process) <= before + 2)


def post(emulator, path, body, method="POST", **headers):
    """The status, and the document if there is one."""
    connection = http.client.HTTPConnection(emulator.host, timeout=20)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


MALFORMED = {
    "text": b"hello",
    "open": b"{",
    "cut_off": b'{"messages": [{"data": "aGk',
    "trailing": b"{} {}",
    "comma": b'{"a": 1,}',
    "single_quotes": b"{'a': 1}",
    "null": b"null",
    "list": b"[]",
    "string": b'"x"',
    "number": b"1",
    "nan": b"NaN",
    "bytes": b"\xff\xfe\xfd",
    "half_a_character": b'{"a": "\xc3"}',
    "surrogate_in_utf8": b'{"a": "\xed\xa0\x80"}',
    "control_character": b'{"a": "\x00"}',
    "deep_lists": b"[" * 200_000,
    "deep_objects": b'{"a":' * 100_000,
    "deep_and_closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "huge_number": b'{"a": ' + b"9" * 10_000 + b"}",
    "unknown_field": b'{"colour": "red"}',
    "unknown_surrogate": b'{"\\ud800": 1}',
}
PATHS = {
    "publish": ("POST", f"/v1/{TOPIC}:publish"),
    "create_topic": ("PUT", "/v1/projects/shop/topics/other"),
    "create_subscription": ("PUT", "/v1/projects/shop/subscriptions/other"),
    "update_topic": ("PATCH", f"/v1/{TOPIC}"),
    "pull": ("POST", f"/v1/{GOOD_QUEUE}:pull"),
    "acknowledge": ("POST", f"/v1/{GOOD_QUEUE}:acknowledge"),
    "set_iam_policy": ("POST", f"/v1/{TOPIC}:setIamPolicy"),
    "faults": ("POST", "/emulator/faults"),
    "clock": ("POST", "/emulator/clock"),
    "deliver": ("POST", "/emulator/deliver"),
    "redeliver": ("POST", "/emulator/redeliver"),
}


@pytest.mark.parametrize("path", PATHS)
def test_malformed_json_is_refused(emulator, pubsub, path):
    pubsub.create_topic(TOPIC)
    method, url = PATHS[path]
    for name, body in MALFORMED.items():
        status, document = post(emulator, url, body, method)
        assert (status, document["error"]["status"]) == (400, "INVALID_ARGUMENT"), name
        assert len(document["error"]["message"]) < 20_000, name
    expect_served(emulator, pubsub)


LONE = "\ud800"
SURROGATES = {
    "attribute": ("publish", {"messages": [{"attributes": {"a": LONE}}]}),
    "attribute_name": ("publish", {"messages": [{"attributes": {LONE: "a"}}]}),
    "ordering_key": ("publish", {"messages": [{"data": SECRET, "orderingKey": LONE}]}),
    "data": ("publish", {"messages": [{"data": LONE}]}),
    "output_only": ("publish", {"messages": [{"data": SECRET, "messageId": [LONE]}, {LONE: 1}]}),
    "label": ("create_topic", {"labels": {"a": LONE}}),
    "label_name": ("create_topic", {"labels": {LONE: "a"}}),
    "kms_key": ("create_topic", {"kmsKeyName": LONE}),
    "topic": ("create_subscription", {"topic": LONE}),
    "endpoint": ("create_subscription", {"topic": GOOD, "pushConfig": {"pushEndpoint": LONE}}),
    "filter": ("create_subscription", {"topic": GOOD, "filter": f'attributes.a = "{LONE}"'}),
    "account": (
        "create_subscription",
        {
            "topic": GOOD,
            "pushConfig": {
                "pushEndpoint": "http://127.0.0.1:9/",
                "oidcToken": {"serviceAccountEmail": LONE, "audience": LONE},
            },
        },
    ),
    "mask": ("update_topic", {"topic": {"name": TOPIC}, "updateMask": LONE}),
    "ack_id": ("acknowledge", {"ackIds": [LONE]}),
    "member": ("set_iam_policy", {"policy": {"bindings": [{"role": LONE, "members": [LONE]}]}}),
    "etag": ("set_iam_policy", {"policy": {"etag": LONE}}),
    "fault_kind": ("faults", {"kind": LONE}),
    "fault_resource": ("faults", {"kind": "push.fail", "resource": LONE}),
    "fault_rate": ("faults", {"kind": "push.fail", "rate": LONE}),
    "deliver": ("deliver", {"subscription": LONE}),
}


@pytest.mark.parametrize("name", SURROGATES)
def test_lone_surrogate_is_refused(emulator, pubsub, name):
    pubsub.create_topic(TOPIC)
    path, document = SURROGATES[name]
    method, url = PATHS[path]
    status, answer = post(emulator, url, json.dumps(document).encode(), method)
    assert 400 <= status < 500, answer
    expect_served(emulator, pubsub)
    pubsub.status()


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET //[x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%00%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/projects/%ed%a0%80/topics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /emulator/messages?topic=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /emulator/clock HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST /emulator/clock HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n"
        b"Content-Length: 2\r\n\r\n{}",
        b"POST /emulator/clock HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 2\r\n\r\n{}",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_malformed_request_is_answered_or_closed(emulator, pubsub, request_head):
    with connect(emulator) as connection:
        connection.sendall(request_head)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(MEGABYTE)
            assert not answer or re.match(rb"HTTP/1\.[01] [1-4]\d\d ", answer), answer
    expect_served(emulator, pubsub)


METHODS = [
    "google.pubsub.v1.Publisher/CreateTopic",
    "google.pubsub.v1.Publisher/Publish",
    "google.pubsub.v1.Publisher/UpdateTopic",
    "google.pubsub.v1.Subscriber/CreateSubscription",
    "google.pubsub.v1.Subscriber/Pull",
    "google.iam.v1.IAMPolicy/SetIamPolicy",
]


def test_protobuf_garbage_is_refused(emulator, pubsub):
    random = Random(1)
    garbage = [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x01\xff", b"\x0b" * 10_000]
    garbage += [random.randbytes(random.randrange(1, 300)) for _ in range(100)]
    codes = set()
    with grpc.insecure_channel(emulator.host, [("grpc.enable_http_proxy", 0)]) as channel:
        for method in METHODS:
            call = channel.unary_unary(f"/{method}")
            for body in garbage:
                with pytest.raises(grpc.RpcError) as refused:
                    call(body, timeout=20)
                codes.add(refused.value.code().name)
    assert codes == {"INVALID_ARGUMENT"}
    expect_served(emulator, pubsub)


def test_protobuf_fields_nobody_knows_are_passed_over(emulator, pubsub):
    request = types.PublishRequest.serialize(
        types.PublishRequest(topic=GOOD, messages=[types.PubsubMessage(data=b"x")])
    )
    unknown = b"\xfa\x3f\x03abc"  # field 1023
    with grpc.insecure_channel(emulator.host, [("grpc.enable_http_proxy", 0)]) as channel:
        publish = channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
        answer = types.PublishResponse.deserialize(publish(request + unknown, timeout=20))
    assert len(answer.message_ids) == 1
    expect_served(emulator, pubsub)


def chunks(count):
    for _ in range(count):
        yield b"x" * MEGABYTE


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_body_of_50_mb_is_refused(process, emulator, pubsub, chunked):
    before = memory(process)
    for _ in range(3):
        headers = {} if chunked else {"Content-Length": str(50 * MEGABYTE)}
        with contextlib.suppress(ConnectionError):  # it need not be read to its end
            status, document = post(emulator, f"/v1/{GOOD}:publish", chunks(50), **headers)
            assert (status, document["error"]["status"]) == (413, "INVALID_ARGUMENT")
        expect_served(emulator, pubsub)
    assert memory(process) - before < 150 * MEGABYTE
    assert len(emulator.messages(topic=GOOD)) == 3


def test_grpc_message_of_50_mb_is_refused(process, emulator, pubsub):
    before = memory(process)
    with grpc.insecure_channel(emulator.host, [("grpc.enable_http_proxy", 0)]) as channel:
        publish = channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                publish(b"x" * 50 * MEGABYTE, timeout=20)
            assert refused.value.code().name == "RESOURCE_EXHAUSTED"
            expect_served(emulator, pubsub)
    assert memory(process) - before < 150 * MEGABYTE


# Clients that wait: the emulator runs here, on an event loop whose clock can be put forward


LINGERING = 15  # seconds; after an answer aiohttp reads on for a while, so that it arrives


class SkippingLoop(asyncio.SelectorEventLoop):
    skipped = 0.0

    def time(self):
        return super().time() + self.skipped


async def skip(seconds):
    """Let so many seconds pass at once, and what they bring happen."""
    asyncio.get_running_loop().skipped += seconds
    for _ in range(5):
        await asyncio.sleep(0.01)


async def ask_health(port):
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        session.get(f"http://127.0.0.1:{port}/emulator/health") as answer,
    ):
        assert answer.status == 200


async def how_it_ends(beginning, patience):
    """The answer to what a client begins and never ends, after so many seconds and not before."""
    async with serving_emulator(Options(port=0)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        await writer.drain()
        for _ in range(3):
            await ask_health(port)  # the other was there first: it has been read
        reading = asyncio.ensure_future(reader.read())
        await skip(patience - 2)
        assert not reading.done()
        await skip(4)
        await skip(LINGERING)
        try:
            async with asyncio.timeout(10):
                return await reading
        except ConnectionError:
            return b""
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def on_skipping_loop(coroutine):
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(coroutine)


@pytest.mark.parametrize(
    "name", ["nothing", "half_a_request_line", "half_a_head", "half_a_preface"]
)
def test_connection_without_a_whole_head_is_closed_after_30_seconds(name):
    assert on_skipping_loop(how_it_ends(HALVES[name], 30)) == b""


@pytest.mark.parametrize("name", ["no_body", "half_a_body", "half_a_chunk"])
def test_request_without_a_whole_body_is_refused_after_60_seconds(name):
    answer = on_skipping_loop(how_it_ends(HALVES[name], 60))
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("second", ["nothing", "half_a_request_line", "half_a_head"])
def test_connection_that_was_answered_is_closed_after_75_seconds_without_a_head(second):
    first = b"GET /emulator/health HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = on_skipping_loop(how_it_ends(first + HALVES[second], 75))
    assert re.match(rb"HTTP/1.1 200 ", answer)
    assert answer.count(b"HTTP/1.1") == 1
