"""The corpus, pushed to both adapters in this process and, a sample of it, to a real Daphne."""

import contextlib
import http.client
import json
import logging
import random
import socket
import sys
from collections import Counter
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_tasks.conf import get_options
from asgi_tasks.messages import PushEnvelope, make_attributes
from tests.pushes import KEY, make_body, make_message

from .corpus import CASES
from .forgeries import SIGNER
from .settings import own_tasks
from .target import chunked
from .tasks import calls

REFUSED = {400, 403, 404, 405, 413, 415}
TIMEOUT = 60  # seconds


@pytest.fixture(scope="module", autouse=True)
def site_with_own_tasks(google):
    with own_tasks(google.url):
        yield


def test_corpus_is_as_large_as_promised():
    assert len({case.name for case in CASES}) == len(CASES) >= 300
    assert {case.status for case in CASES} == {204, 500, *REFUSED}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_answer_is_the_designed_one(client, case, caplog):
    caplog.set_level(logging.INFO, "asgi_tasks")
    calls.clear()
    connection = client.connect(method=case.method, headers=case.headers)
    for message in chunked(case.make_body(), case.chunk):
        await connection.send_input(message)
    status, headers, body = await client.answer(connection)
    assert (status, body) == (case.status, b"")
    assert calls == list(case.ran)
    assert headers.get("allow") == ("POST" if status == 405 else None)
    lines = [r.getMessage() for r in caplog.records if r.name == "asgi_tasks"]
    assert not any("an error in asgi_tasks" in line for line in lines)
    assert len([line for line in lines if line.startswith(f"Push refused with {status}: ")]) == (
        status in REFUSED
    )


def test_nothing_a_message_names_was_imported():
    assert "tests.security.decoy" not in sys.modules


# A real Daphne


def is_sendable(case):
    """Whether a client of HTTP can send it: true lengths, and no control characters."""
    texts = [case.method, *map(str, case.headers.values())]
    return "content-length" not in case.headers and all(map(str.isprintable, texts))


def draw_sample():
    """Some cases of each status."""
    cases = [case for case in CASES if is_sendable(case)]
    seen = Counter()
    for case in random.Random(5).sample(cases, len(cases)):
        seen[case.status] += 1
        if seen[case.status] <= 9:
            yield case


@pytest.fixture(scope="module")
def daphne(start_site, emulator, google, tmp_path_factory):
    """The site as a process, with the tasks of this folder."""
    variables = {"TESTS_CERTS_URL": google.url, "TESTS_ROUTES": "tests.security.tasks"}
    with start_site(emulator, tmp_path_factory.mktemp("inputs"), **variables) as site:
        yield site


def answer_of(site, case):
    """Status, headers and body that a raw socket gets for a case."""
    address = urlsplit(site.url)
    with socket.create_connection((address.hostname, address.port), TIMEOUT) as connection:
        with contextlib.suppress(ConnectionError):  # refused before its end
            connection.sendall(request_of(site, case))
        response = http.client.HTTPResponse(connection, method=case.method)
        response.begin()
        return response.status, response.read()


def request_of(site, case):
    headers = {
        "host": urlsplit(site.url).netloc,
        "authorization": f"Bearer {SIGNER.token(site.endpoint)}",
        "content-type": "application/json",
        "connection": "close",
    }
    body = case.make_body()
    if case.chunk:
        headers["transfer-encoding"] = "chunked"
        chunks = [m["body"] for m in chunked(body, case.chunk) if m["body"]]
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    else:
        headers["content-length"] = str(len(body))
    lines = [f"{case.method} /tasks/pubsub/ HTTP/1.1"]
    for name, value in (headers | dict(case.headers)).items():
        values = [value] if isinstance(value, str) else value or []
        lines += [f"{name}: {each}" for each in values]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@pytest.mark.parametrize("case", list(draw_sample()), ids=lambda case: case.name)
def test_answer_of_a_real_daphne_is_the_designed_one(daphne, case):
    before = len(daphne.effects())
    assert answer_of(daphne, case) == (case.status, b"")
    effects = [(e["task"], e["args"], e["kwargs"]) for e in daphne.effects()[before:]]
    assert effects == list(case.ran)
    assert "an error in asgi_tasks" not in daphne.process.output


def test_sample_is_as_large_as_promised():
    assert len(list(draw_sample())) >= 60


# What enqueue accepts can come back


@settings(deadline=None, max_examples=8)
@given(limit=st.integers(1_000, 9_900_000))
@pytest.mark.parametrize("character", ["x", "é", '"', "\x00", "\U0001f600"])
def test_largest_message_comes_back_within_the_body_limit(limit, character):
    options = replace(get_options("default"), max_message_bytes=limit)
    message = largest_message(limit, character)
    assert limit - 12 < len(message.encode()) <= limit
    body = as_pubsub_wraps_it(message)
    assert len(body) <= options.max_body_bytes
    assert PushEnvelope.decode(body).data == message.encode()


def largest_message(limit, character):
    """A message whose only argument is as long as the limit lets it."""
    empty = make_message("n" * 200, "")
    room = limit - len(empty.encode())
    width = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    return replace(empty, args=[character * (room // width)])


def as_pubsub_wraps_it(message):
    """A body with all the attributes that Pub/Sub takes, each as long as may be.

    https://cloud.google.com/pubsub/quotas#resource_limits: 100, of 256 and 1,024 bytes.
    """
    attributes = make_attributes(message, message.encode(), KEY)
    for number in range(100 - len(attributes)):
        attributes[f"{number:03}".ljust(256, "\x01")] = "\x01" * 1024  # six bytes each in JSON
    extra = {"orderingKey": "\x01" * 1024, "attributes": attributes}
    return make_body(
        message, subscription=f"projects/{'p' * 30}/subscriptions/{'s' * 255}", **extra
    )
