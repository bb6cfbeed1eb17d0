"""What the logs show, and what they do not, whoever writes to us."""

import asyncio
import base64
import logging
import traceback

import pytest
from django.tasks.signals import task_finished

from asgi_tasks import EnqueueError, InvalidArguments
from tests.pushes import KEY

from .corpus import CASES
from .corpus.cases import GOOD, SECRET, Case, body, call, changed, dump, push
from .settings import own_tasks
from .target import chunked
from .tasks import note

HEADER = "a header that no log shows"
ATTRIBUTE = "an attribute that no log shows"


@pytest.fixture(scope="module", autouse=True)
def site_with_own_tasks(google):
    with own_tasks(google.url):
        yield


@pytest.fixture
async def log(caplog):
    """All records of all loggers."""
    caplog.set_level(logging.DEBUG)
    for name in ("asgi_tasks", "asyncio", "django", "django.request", "django.tasks"):
        caplog.set_level(logging.DEBUG, name)
    asyncio.get_running_loop().set_debug(True)
    return caplog


def shown(record):
    """A record as any formatter may show it."""
    facts = {k: v for k, v in vars(record).items() if k not in ("exc_info", "request")}
    return logging.Formatter().format(record) + repr(facts)


def line_of(record):
    """The message, without the traceback that an error may carry when it had to be cut."""
    line = record.getMessage()
    return line.partition("\n")[0] if record.levelname == "ERROR" else line


async def answer(client, case):
    headers = {"x-secret": HEADER, "cookie": f"session={HEADER}"} | dict(case.headers)
    connection = client.connect(method=case.method, headers=headers, query=HEADER.encode())
    for message in chunked(case.make_body(), case.chunk):
        await connection.send_input(message)
    return await client.answer(connection)


def secrets_of(client, case):
    """What a case must not leave in a log."""
    yield from (SECRET, HEADER, ATTRIBUTE, KEY, client.token, *client.token.split("."))
    text = case.make_body()[:600].decode("latin-1")
    yield from (text[at : at + 60] for at in range(0, len(text) - 60, 60))
    yield push()["message"]["attributes"]["signature"]
    yield base64.b64encode(SECRET.encode()).decode()[3:-4]


MORE = [
    Case(name="extra attribute", status=204, body=changed("message.attributes.more", ATTRIBUTE)),
    Case(name="wrong attribute", status=403, body=changed("message.attributes.task_id", ATTRIBUTE)),
    Case(
        name="wrong signature", status=403, body=changed("message.attributes.signature", ATTRIBUTE)
    ),
    Case(name="unknown name", status=404, body=body(task_name="unheard_of")),
    Case(name="wrong arguments", status=400, body=call("take", SECRET, **{SECRET: SECRET})),
    Case(name="wrong id", status=400, body=body(task_id=SECRET)),
    Case(name="wrong time", status=400, body=body(enqueued_at=SECRET)),
    Case(name="wrong subscription", status=400, body=changed("subscription", SECRET)),
    Case(name="wrong type", status=415, body=GOOD, headers={"content-type": HEADER}),
    Case(name="wrong token", status=401, body=GOOD, headers={"authorization": f"Bearer {HEADER}"}),
    Case(name="wrong scheme", status=401, body=GOOD, headers={"authorization": f"Basic {HEADER}"}),
    Case(name="good", status=204, body=dump(push())),
]
QUIET = [case for case in CASES if "huge" not in case.name]


@pytest.mark.parametrize("start", range(8))
async def test_no_token_key_argument_or_body_is_logged_or_answered(client, log, start):
    for case in (MORE + QUIET)[start::8]:
        log.clear()
        status, headers, answered = await answer(client, case)
        assert (status, answered) == (case.status, b"")
        text = "\n".join(map(shown, log.records)) + repr(headers)
        assert log.records
        assert [secret for secret in secrets_of(client, case) if secret in text] == [], case.name


@pytest.mark.parametrize("start", range(8))
async def test_no_request_can_forge_a_line(client, log, start):
    for case in (MORE + QUIET)[start::8]:
        log.clear()
        await answer(client, case)
        lines = [line_of(record) for record in log.records]
        assert [line for line in lines if not line.isprintable()] == [], case.name


async def test_result_is_logged_as_json_in_one_line(client, log):
    await answer(client, Case(name="", status=204, body=call("return_it", "lines")))
    [line] = [r.getMessage() for r in log.records if "succeeded" in r.getMessage()]
    assert line.endswith(r'result="first\r\nsecond\u001b[31m\u2028third\u0000"')


async def test_method_is_logged_escaped_and_cut(log):
    from asgi_tasks.asgi import PushEndpoint

    async def nothing(message=None):
        pass

    scope = {"type": "http", "path": "/tasks/pubsub/", "headers": []}
    scope["method"] = "GET\r\nWARNING forged\x1b[31m" + "x" * 1000
    await PushEndpoint(None)(scope, nothing, nothing)
    [line] = [record.getMessage() for record in log.records if record.name == "asgi_tasks"]
    assert line.isprintable()
    assert len(line) < 100


async def test_traceback_of_a_failed_task_shows_its_error_and_no_argument(client, log):
    case = Case(name="", status=500, body=call("raise_it", "lines"))
    await answer(client, case)
    [error] = [r for r in log.records if (r.name, r.levelname) == ("asgi_tasks", "ERROR")]
    assert error.getMessage().startswith("Task raise_it failed in ")
    assert "ValueError: first" in logging.Formatter().format(error)


@pytest.mark.parametrize("task", ["raise_it", "raise_it_sync"])
async def test_traceback_is_cut_in_the_log_and_in_the_result(client, log, task):
    finished = []

    def note_result(task_result, **kwargs):
        finished.append(task_result)

    task_finished.connect(note_result)
    try:
        await answer(client, Case(name="", status=500, body=call(task, "huge")))
    finally:
        task_finished.disconnect(note_result)
    [error] = finished[0].errors
    assert "Traceback" in error.traceback
    assert len(error.traceback) < 65_000
    assert sum(len(shown(record)) for record in log.records) < 200_000


# Enqueue


@pytest.mark.parametrize(
    "value",
    [float("nan"), object(), {1: 2}, "\ud800", 10**5000, b"\xff", "x" * 9_000_000],
    ids=["nan", "object", "key", "surrogate", "integer", "bytes", "size"],
)
async def test_error_of_enqueue_shows_no_argument(log, value):
    with pytest.raises(InvalidArguments) as caught:
        await note.aenqueue(SECRET, value, secret=SECRET)
    assert SECRET not in everything(caught.value, log)


async def test_error_of_a_broker_out_of_reach_shows_no_argument(log, settings, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    tasks = settings.TASKS["default"]
    options = tasks["OPTIONS"] | {"publish_timeout": 0.2}
    settings.TASKS = {"default": tasks | {"OPTIONS": options}}
    with pytest.raises(EnqueueError) as caught:
        await note.aenqueue(SECRET, secret=SECRET)
    text = everything(caught.value, log)
    assert [
        secret
        for secret in (SECRET, KEY, base64.b64encode(SECRET.encode())[3:-4].decode())
        if secret in text
    ] == []


def everything(error, log):
    return "".join([*traceback.format_exception(error), *map(shown, log.records)])
