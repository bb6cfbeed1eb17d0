import asyncio
import json
import logging
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.conf import settings as django_settings
from django.tasks import task

from asgi_tasks import Discard, TaskRoute, eager
from asgi_tasks.lanes import Borrower, get_lanes
from tests.adapters import Client, endpoint, view
from tests.pushes import make_body, make_message
from tests.tokens import CertificatesServer, Signer

LONG = 10  # seconds until a test gives up; nothing waits that long
AUDIENCE = "http://127.0.0.1:1/tasks/pubsub/"

acts = {}  # what the tasks do, by key


@task
async def act(key, **rest):
    done = acts[key]()
    return await done if asyncio.iscoroutine(done) else done


@task
def act_sync(key, **rest):
    return acts[key]()


@task
async def act_briefly(key):
    return await acts[key]()


@task
def act_briefly_sync(key):
    return acts[key]()


@task
async def open_to_all(text):
    return text


task_routes = [
    TaskRoute(act, aliases=("old_act",)),
    TaskRoute(act_sync),
    TaskRoute(act_briefly, timeout=0.01),
    TaskRoute(act_briefly_sync, timeout=0.2),
    TaskRoute(open_to_all, signed=False),
]


@pytest.fixture(scope="module")
def signer():
    return Signer()


@pytest.fixture(scope="module")
def certificates(signer):
    server = CertificatesServer(signer.by_key)
    yield server
    server.close()


@pytest.fixture(scope="module")
def token(signer):
    return signer.token(AUDIENCE)


@pytest.fixture(autouse=True)
def options(settings, certificates):
    """Change options: options(threads=1)."""

    def change(**changes):
        options = django_settings.TASKS["default"]["OPTIONS"] | changes
        settings.TASKS = {"default": django_settings.TASKS["default"] | {"OPTIONS": options}}

    change(certs_url=certificates.url, routes="tests.unit.test_dispatch")
    return change


@pytest.fixture
def perform():
    """The key under which a task finds what to do."""
    keys = []

    def add(do):
        keys.append(str(uuid.uuid4()))
        acts[keys[-1]] = do
        return keys[-1]

    yield add
    for key in keys:
        del acts[key]


@pytest.fixture(params=[endpoint, view], ids=["PushEndpoint", "view"])
def client(request, token):
    return Client(*request.param(), token)


@pytest.fixture
def lines(caplog):
    """The library's log lines so far: (level, message)."""
    caplog.set_level(logging.INFO)

    def get():
        return [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if record.name == "asgi_tasks"
        ]

    return get


def raises(error):
    def do():
        raise error

    return do


async def forever():
    await asyncio.Event().wait()


async def exit_later():
    await asyncio.sleep(0)
    raise SystemExit


def malformed(**changes):
    return make_body(make_message("act", "key"), **changes)


both_kinds = pytest.mark.parametrize("name", ["act", "act_sync"])


# Design's table of answers


@both_kinds
@pytest.mark.parametrize(
    ("do", "status"),
    [
        (lambda: None, 204),
        (raises(Discard()), 204),
        (object, 204),
        (raises(ValueError()), 500),
        (raises(SystemExit()), 500),
    ],
    ids=["ran", "discarded", "result is not JSON", "raised", "exited"],
)
async def test_task_that(client, perform, name, do, status):
    answer = await client.push(make_body(make_message(name, perform(do))))
    assert (answer[0], answer[2]) == (status, b"")


async def test_push_whose_task_waits_for_nothing_is_answered_before_another_turn_of_the_loop(
    token, perform
):
    client = Client(*endpoint(), token)
    first, second = (make_body(make_message("act", perform(lambda: None))) for _ in range(2))
    assert await client.status(first) == 204  # and the token is known
    application, scope = endpoint()[0], client.connect().scope
    answers = []

    async def receive():
        return {"type": "http.request", "body": second}

    async def send(message):
        answers.append(message.get("status"))

    eager.start(application(scope, receive, send))
    assert answers == [204, None]


async def test_coroutine_that_exits_after_it_waited_ends_no_loop(client, perform):
    assert await client.status(make_body(make_message("act", perform(exit_later)))) == 500


async def test_coroutine_past_its_deadline(client, perform):
    assert await client.status(make_body(make_message("act_briefly", perform(forever)))) == 504


async def test_sync_task_past_its_deadline(client, perform):
    gate = threading.Event()
    body = make_body(make_message("act_briefly_sync", perform(lambda: gate.wait(LONG))))
    status = await client.status(body)
    gate.set()
    assert status == 504


async def test_no_lane_in_time(client, options, perform):
    options(threads=1)
    gate, ran = threading.Event(), []
    blocker = Borrower(get_lanes(1)).submit(gate.wait, LONG)
    body = make_body(make_message("act_briefly_sync", perform(lambda: ran.append(1))))
    status = await client.status(body)
    gate.set()
    blocker.result(LONG)
    Borrower(get_lanes(1)).submit(int).result(LONG)
    assert (status, ran) == (503, [])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b'{"message": {}}', 400),
        (malformed(data="!"), 400),
        (malformed(data="eyJ2IjogMX0="), 400),  # {"v": 1}
        (malformed(data="eyJ2IjogMn0="), 404),  # {"v": 2}
        (malformed(messageId=None), 400),
        (make_body(make_message("unheard_of")), 404),
        (make_body(make_message("act", "key"), key="another"), 403),
        (malformed(attributes={}), 403),
        (malformed(attributes=None), 403),
        (
            make_body(
                make_message("act", "key"),
                subscription="projects/tests/subscriptions/test-site-act-sync-sub",
            ),
            403,
        ),
        (
            make_body(
                make_message("act", "key"),
                subscription="projects/others/subscriptions/test-site-act-sub",
            ),
            403,
        ),
        (make_body(make_message("act")), 400),
        (make_body(make_message("act", "key", "too many")), 400),
        (make_body(make_message("act_sync", "key", key="twice")), 400),
    ],
    ids=[
        "empty body",
        "no JSON",
        "no object",
        "too deep",
        "no envelope",
        "no base64",
        "no message",
        "newer version",
        "no message id",
        "unknown task",
        "wrong signature",
        "no signature",
        "no attributes",
        "subscription of another task",
        "subscription of another project",
        "argument missing",
        "argument too many",
        "argument given twice",
    ],
)
async def test_push_is_refused(client, lines, body, status):
    assert await client.status(body) == status
    ((level, line),) = lines()
    assert level == "WARNING"
    assert line.startswith(f"Push refused with {status}: ")


async def test_line_of_a_refused_push_tells_which_message_it_was(client, caplog):
    message = make_message("act", "too", "many")
    await client.push(make_body(message, attempt=3))
    (record,) = [r for r in caplog.records if r.name == "asgi_tasks"]
    facts = {"task_name": "act", "task_id": message.task_id, "message_id": "1234567890"}
    facts |= {"attempt": 3, "outcome": "refused", "status": 400}
    assert {key: vars(record)[key] for key in facts} == facts
    assert record.subscription.endswith("-act-sub")
    assert f"task_id={message.task_id}" in record.getMessage()


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"email": "someone@else.iam.gserviceaccount.com"}, 403),
        ({"email_verified": False}, 403),
        ({"aud": "https://elsewhere.example"}, 401),
        ({"iss": "https://elsewhere.example"}, 401),
        ({"exp": 1, "iat": 0}, 401),
    ],
    ids=["another account", "account not verified", "audience", "issuer", "expired"],
)
async def test_token_is_wrong(client, signer, claims, status):
    client.token = signer.token(AUDIENCE, **claims)
    assert await client.status(b"") == status


async def test_no_certificates_to_check_with(client, options):
    options(certs_url="http://127.0.0.1:1/none")
    assert await client.status(b"") == 503


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Basic dXNlcjpwYXNz", "Bearer a.b.c", "Bearer {0} {0}", "{0}"],
    ids=["none", "empty", "no token", "basic", "nonsense", "two in one", "no scheme"],
)
async def test_no_token_is_401_with_the_scheme(client, header):
    header = header and header.format(client.token)
    status, headers, _ = await client.push(b"", headers={"authorization": header})
    assert (status, headers["www-authenticate"]) == (401, "Bearer")


async def test_two_good_tokens_are_one_too_many(client):
    headers = {"authorization": [f"Bearer {client.token}"] * 2}
    assert await client.status(b"", headers=headers) == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_method_is_not_post(client, method):
    status, headers, _ = await client.push(b"", method=method)
    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 204),
        ("Application/JSON", 204),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json-seq", 415),
        ("", 415),
        (None, 415),
    ],
)
async def test_content_type(client, content_type, status):
    body = make_body(make_message("open_to_all", "text"))
    assert await client.status(body, headers={"content-type": content_type}) == status


# The body


@pytest.mark.parametrize("excess", [0, 1])
async def test_largest_body(client, options, excess):
    options(max_message_bytes=1_000)
    limit = 1_000 * 4 // 3 + 1_000_000
    body = make_body(make_message("open_to_all", "text"))
    body += b" " * (limit + excess - len(body))
    assert await client.status(body) == (413 if excess else 204)


async def test_limit_of_django_s_forms_is_not_the_endpoint_s(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert await client.status(make_body(make_message("open_to_all", "text"))) == 204


async def test_body_too_large_by_its_declared_length_is_not_read(client, options):
    options(max_message_bytes=1_000)
    headers = {"content-length": str(10**9)}
    body = make_body(make_message("open_to_all", "text"))
    assert await client.status(body, headers=headers) == 413


@pytest.mark.parametrize("length", ["", "-1", "many", "²", "0" * 30 + "1", "9" * 5000])
async def test_length_that_is_no_number_does_not_break_the_endpoint(token, length):
    client = Client(*endpoint(), token)
    body = make_body(make_message("open_to_all", "text"))
    assert await client.status(body, headers={"content-length": length}) in (204, 413)


async def test_body_in_many_chunks(client):
    connection = client.connect()
    body = make_body(make_message("open_to_all", "text"))
    for start in range(0, len(body), 7):
        chunk = body[start : start + 7]
        more = start + 7 < len(body)
        await connection.send_input({"type": "http.request", "body": chunk, "more_body": more})
    assert (await client.answer(connection))[0] == 204


async def test_body_too_large_in_chunks_is_refused_before_its_end(options, token):
    options(max_message_bytes=1_000)
    client = Client(*endpoint(), token)
    connection = client.connect()
    for _ in range(3):
        message = {"type": "http.request", "body": b" " * 400_000, "more_body": True}
        await connection.send_input(message)
    assert (await client.answer(connection))[0] == 413


async def test_body_that_does_not_come_is_408(token, monkeypatch):
    monkeypatch.setattr("asgi_tasks.dispatch.BODY_TIMEOUT", 0.01)
    client = Client(*endpoint(), token)
    connection = client.connect()
    await connection.send_input({"type": "http.request", "body": b"{", "more_body": True})
    assert (await client.answer(connection))[0] == 408


async def test_time_since_the_arrival_of_a_request_counts(token, perform):
    client = Client(*endpoint(), token)
    connection = client.connect()
    body = make_body(make_message("act_briefly", perform(lambda: asyncio.sleep(0))))
    await connection.send_input({"type": "http.request", "body": body[:9], "more_body": True})
    await asyncio.sleep(0.02)  # longer than the task may take
    await connection.send_input({"type": "http.request", "body": body[9:]})
    assert (await client.answer(connection))[0] == 504


async def test_caller_is_authenticated_before_the_body_is_there():
    client = Client(*endpoint(), "wrong")
    assert (await client.answer(client.connect()))[0] == 401


async def test_method_is_checked_before_the_token(client):
    client.token = "wrong"
    assert await client.status(b"", method="GET") == 405


async def test_token_is_checked_before_content_type_length_and_body(client):
    client.token = "wrong"
    headers = {"content-type": "text/plain", "content-length": str(10**9)}
    assert await client.status(b"x", headers=headers) == 401


async def test_task_is_known_before_its_signature_is_checked(client):
    assert await client.status(make_body(make_message("unheard_of"), key="another")) == 404


async def test_signature_is_checked_before_the_arguments(client):
    assert await client.status(make_body(make_message("act"), key="another")) == 403


# Routes


async def test_route_that_is_not_signed_takes_messages_of_others(client):
    body = make_body(make_message("open_to_all", "text"), attributes=None)
    assert await client.status(body) == 204


async def test_alias_leads_to_the_task(client, perform):
    assert await client.status(make_body(make_message("old_act", perform(lambda: None)))) == 204


async def test_alias_comes_by_its_own_subscription_alone(client):
    subscription = "projects/tests/subscriptions/test-site-act-sub"
    body = make_body(make_message("old_act", "key"), subscription=subscription)
    assert await client.status(body) == 403


async def test_former_key_still_verifies(client, settings, perform):
    settings.SECRET_KEY_FALLBACKS = ["a former one"]
    body = make_body(make_message("act", perform(lambda: None)), key="a former one")
    assert await client.status(body) == 204


async def test_duplicate_push_joins_the_run(client, perform):
    runs, gate = [], asyncio.Event()

    async def do():
        runs.append(1)
        await gate.wait()

    body = make_body(make_message("act", perform(do)))
    pushes = [asyncio.create_task(client.status(body)) for _ in range(3)]
    while not runs:  # noqa: ASYNC110 - the view takes threads on its way
        await asyncio.sleep(0.001)
    for _ in range(50):
        await asyncio.sleep(0.001)
    gate.set()
    assert (await asyncio.gather(*pushes), runs) == ([204] * 3, [1])


# A client that leaves


async def test_client_leaves_and_the_coroutine_is_cancelled(client, perform, lines):
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def do():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    connection = client.connect()
    body = make_body(make_message("act", perform(do)))
    await connection.send_input({"type": "http.request", "body": body})
    await asyncio.wait_for(started.wait(), LONG)
    await connection.send_input({"type": "http.disconnect"})
    await asyncio.wait_for(cancelled.wait(), LONG)
    await connection.wait(LONG)
    assert await connection.receive_nothing()
    [(level, line)] = lines()
    assert level == "WARNING"
    assert line.startswith("Task act was interrupted in ")


@pytest.mark.parametrize("sent", [b"", b"{"], ids=["before the body", "in the body"])
async def test_client_leaves_while_it_sends(token, lines, sent):
    client = Client(*endpoint(), token)
    connection = client.connect()
    if sent:
        await connection.send_input({"type": "http.request", "body": sent, "more_body": True})
    await connection.send_input({"type": "http.disconnect"})
    await connection.wait(LONG)
    assert await connection.receive_nothing()
    assert lines() == []


async def test_server_that_cancels_the_connection_is_obeyed_after_a_503(token, perform):
    started = asyncio.Event()

    async def do():
        started.set()
        await asyncio.Event().wait()

    client = Client(*endpoint(), token)
    connection = client.connect()
    body = make_body(make_message("act", perform(do)))
    await connection.send_input({"type": "http.request", "body": body})
    await asyncio.wait_for(started.wait(), LONG)
    connection.future.cancel()
    assert (await connection.receive_output(LONG))["status"] == 503
    with pytest.raises(asyncio.CancelledError):
        await connection.future


# The log


@both_kinds
@pytest.mark.parametrize(
    ("do", "word", "level"),
    [
        (lambda: None, "succeeded", "INFO"),
        (raises(Discard()), "discarded", "WARNING"),
        (raises(ValueError()), "failed", "ERROR"),
        (object, "result is not JSON", "ERROR"),
    ],
    ids=["success", "discard", "failure", "result"],
)
async def test_delivery_is_one_line(client, perform, caplog, name, do, word, level):
    caplog.set_level(logging.INFO, "asgi_tasks")
    message = make_message(name, perform(do))
    await client.push(make_body(message, attempt=3))
    (record,) = [r for r in caplog.records if r.name == "asgi_tasks"]
    assert record.levelname == level
    facts = {"task_name": name, "task_id": message.task_id, "message_id": "1234567890"}
    facts |= {"attempt": 3, "outcome": word}
    assert {key: vars(record)[key] for key in facts} == facts
    assert isinstance(record.duration_ms, int)
    for part in (name, word, message.task_id, "1234567890"):
        assert part in record.getMessage()


async def test_first_200_characters_of_a_result_are_logged(client, lines):
    await client.push(make_body(make_message("open_to_all", "é" * 300)))
    assert lines()[0][1].endswith("result=" + json.dumps("é" * 300)[:200])


async def test_results_are_not_logged_where_log_results_is_off(client, options, lines):
    options(log_results=False)
    await client.push(make_body(make_message("open_to_all", "confidential")))
    assert "confidential" not in str(lines())


@both_kinds
@pytest.mark.parametrize("do", [lambda: None, raises(ValueError()), object])
async def test_arguments_and_tokens_are_never_logged(client, perform, caplog, name, do):
    caplog.set_level(logging.DEBUG)
    message = make_message(name, perform(do), password="confidential")
    await client.push(make_body(message))
    assert "confidential" not in caplog.text
    assert client.token not in caplog.text
    assert make_body(message).decode() not in caplog.text


@pytest.mark.parametrize(
    "body", [b"confidential", make_body(make_message("act", a="confidential"))]
)
async def test_refused_body_is_never_logged(client, caplog, body):
    caplog.set_level(logging.DEBUG)
    await client.push(body)
    assert "confidential" not in caplog.text


async def test_mistake_in_the_routes_is_answered_with_500_and_logged(client, options, lines):
    options(routes="tests.unit.no_such_module")
    assert await client.status(make_body(make_message("act", "key"))) == 500
    assert [level for level, _ in lines()] == ["ERROR"]


async def test_pushes_without_an_attempt_are_the_first(client, caplog):
    caplog.set_level(logging.INFO, "asgi_tasks")
    document = json.loads(make_body(make_message("open_to_all", "text")))
    del document["deliveryAttempt"]
    await client.push(json.dumps(document).encode())
    (record,) = [record for record in caplog.records if record.name == "asgi_tasks"]
    assert record.attempt == 1


async def test_message_enqueued_in_another_time_zone(client, perform):
    now = datetime.now(UTC).astimezone()
    message = replace(make_message("act", perform(lambda: None)), enqueued_at=now)
    assert await client.status(make_body(message)) == 204
