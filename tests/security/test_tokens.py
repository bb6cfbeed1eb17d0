"""Every token of the corpus, pushed to both adapters with a task that would run.

tests/integration/test_pushes.py has some through a real Daphne.
"""

import re
import secrets

import pytest
from django.tasks import task

from asgi_tasks import TaskRoute
from tests.adapters import Client, endpoint
from tests.pushes import push_body
from tests.tokens import ACCOUNT, CertificatesServer

from .forgeries import CORPUS, IMPOSTOR, bearer, token

runs = []  # of the task


@task
async def note(text):
    runs.append(text)


task_routes = [TaskRoute(note)]


@pytest.fixture(autouse=True)
def site(configure):
    configure(routes=__name__)
    runs.clear()


def header(value):
    """The value as it comes in: its bytes, one a character."""
    return value.encode().decode("latin-1")


def answered(status):
    names = CORPUS[status]
    return pytest.mark.parametrize("make", names.values(), ids=names)


async def push(client, authorization, body=None):
    body = push_body("note", "ran") if body is None else body
    return await client.push(body, headers={"authorization": header(authorization)})


@answered(204)
async def test_good_token_lets_the_task_run(client, make):
    status, _, body = await push(client, make())
    assert (status, body, runs) == (204, b"", ["ran"])


@answered(401)
async def test_bad_token_is_unauthenticated(client, make):
    status, headers, body = await push(client, make())
    assert (status, headers["www-authenticate"], body) == (401, "Bearer", b"")
    assert runs == []


@answered(403)
async def test_token_of_another_account_is_denied(client, make):
    status, headers, body = await push(client, make())
    assert (status, "www-authenticate" in headers, body) == (403, False, b"")
    assert runs == []


@pytest.mark.parametrize("status", [401, 403])
async def test_refusal_is_one_line_with_the_reason_and_nothing_of_the_token(
    client, lines, caplog, status
):
    for name, make in CORPUS[status].items():
        caplog.clear()
        authorization = make()
        await push(client, authorization)
        [line] = lines()
        assert re.fullmatch(rf"Push refused with {status}: [a-z_].{{10,}}", line), name
        assert not told(authorization, caplog.text), name


async def test_accepted_token_is_not_logged(client, caplog):
    caplog.set_level(0)
    authorization = bearer()
    await push(client, authorization)
    assert "succeeded" in caplog.text
    assert not told(authorization, caplog.text)


def told(authorization, text):
    """The parts of a token that stand in a text."""
    return [part for part in re.findall(r"[\w-]{16,}", authorization) if part in text]


# Where a token may be


ELSEWHERE = {
    "in the query": lambda token: {"query": f"token={token}".encode()},
    "in the query as OAuth has it": lambda token: {"query": f"access_token={token}".encode()},
    "in a cookie": lambda token: {"headers": {"cookie": f"Authorization=Bearer {token}"}},
    "in X-Serverless-Authorization": lambda token: {
        "headers": {"x-serverless-authorization": f"Bearer {token}"}
    },
    "in Proxy-Authorization": lambda token: {"headers": {"proxy-authorization": f"Bearer {token}"}},
    "in X-Forwarded-Authorization": lambda token: {
        "headers": {"x-forwarded-authorization": f"Bearer {token}"}
    },
    "in a header of CGI": lambda token: {"headers": {"http_authorization": f"Bearer {token}"}},
    "in the first of two headers": lambda token: {
        "headers": {"authorization": [f"Bearer {token}", "Bearer a.b.c"]}
    },
    "in the second of two headers": lambda token: {
        "headers": {"authorization": ["Bearer a.b.c", f"Bearer {token}"]}
    },
    "in both of two headers": lambda token: {"headers": {"authorization": [f"Bearer {token}"] * 2}},
    "beside an empty header": lambda token: {"headers": {"authorization": [f"Bearer {token}", ""]}},
    "in a header of three": lambda token: {"headers": {"authorization": f"Bearer {token}, x, y"}},
}


@pytest.mark.parametrize("request_of", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_good_token_counts_in_one_authorization_header_only(client, caplog, request_of):
    good = token()
    request = request_of(good)
    request["headers"] = {"authorization": None} | request.get("headers", {})
    status, headers, body = await client.push(push_body("note", "ran"), **request)
    assert (status, headers["www-authenticate"], body, runs) == (401, "Bearer", b"", [])
    assert not told(good, caplog.text)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
async def test_good_token_in_the_body_does_not_count(client, content_type):
    body = f"access_token={token()}".encode()
    headers = {"authorization": None, "content-type": content_type}
    assert await client.status(body, headers=headers) == 401


# What comes first


@pytest.mark.parametrize(
    ("make", "status"),
    [(CORPUS[401]["alg none"], 401), (CORPUS[403]["account of another customer"], 403)],
    ids=["bad", "of another account"],
)
async def test_refused_token_comes_before_a_malformed_body(client, lines, make, status):
    assert (await push(client, make(), b"{"))[0] == status
    assert len(lines()) == 1


async def test_token_of_another_account_is_denied_before_the_body_is_there():
    client = Client(*endpoint(), token(email="evil@evil.iam.gserviceaccount.com"))
    assert (await client.answer(client.connect()))[0] == 403


async def test_no_key_of_the_attackers_is_fetched(client):
    evil = CertificatesServer(IMPOSTOR.by_key)
    try:
        for name in ("jku", "x5u"):
            await push(client, bearer(header={name: evil.url}, signer=IMPOSTOR))
    finally:
        evil.close()
    assert evil.requests == 0


async def test_accepted_token_does_not_let_one_in_that_differs_by_a_bit(client):
    """A verified token is remembered: by all of it."""
    good = bearer()
    assert (await push(client, good))[0] == 204
    start = len("Bearer ")
    for position in range(start, len(good), 41):
        other = good[:position] + ("A" if good[position] != "A" else "B") + good[position + 1 :]
        assert (await push(client, other))[0] == 401
    assert runs == ["ran"]


async def test_account_is_compared_in_constant_time(client, monkeypatch):
    compared = []
    compare = secrets.compare_digest

    def note_and_compare(one, other):
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(secrets, "compare_digest", note_and_compare)
    await push(client, bearer(email="someone@else.example"))
    assert {b"someone@else.example", ACCOUNT.encode()} in map(set, compared)
