"""Pushes made by the tests themselves, right and wrong, many at once, to a real Daphne."""

import asyncio

import psycopg
import pytest

from tests.pushes import make_body, make_message, push, push_all, push_body

LANES = 4
OTHER = "projects/tests/subscriptions/test-site-wait-sub"


@pytest.fixture(scope="module")
def pushed_site(start_site, emulator, certificates, tmp_path_factory):
    """The test site on SQLite; it trusts the tests' signer."""
    folder = tmp_path_factory.mktemp("pushed")
    with start_site(emulator, folder, TESTS_CERTS_URL=certificates.url) as site:
        yield site


@pytest.fixture(scope="module")
def postgres_site(start_site, emulator, certificates, database_url, tmp_path_factory):
    """The test site on PostgreSQL with few lanes; it trusts the tests' signer."""
    variables = {
        "TESTS_CERTS_URL": certificates.url,
        "TESTS_THREADS": str(LANES),
        "DATABASE_URL": database_url,
    }
    folder = tmp_path_factory.mktemp("postgres")
    with start_site(emulator, folder, **variables) as site:
        yield site


@pytest.fixture
def authorization(signer):
    """Make the header of a push to a site."""
    return lambda site, **claims: f"Bearer {signer.token(site.endpoint, **claims)}"


@pytest.mark.parametrize("path", ["/tasks/pubsub/", "/view/pubsub/"], ids=["asgi", "view"])
class TestOnePush:
    async def test_good_one_runs(self, pushed_site, authorization, path):
        body = push_body("add", 20, 3)
        assert await push(pushed_site, body, authorization(pushed_site), path=path) == 204
        assert pushed_site.effects("add", result=23)

    @pytest.mark.parametrize(
        ("claims", "status"),
        [
            ({"email": "other@tests.iam.gserviceaccount.com"}, 403),
            ({"email_verified": False}, 403),
            ({"aud": "https://elsewhere.example"}, 401),
            ({"iss": "https://accounts.example"}, 401),
            ({"iat": 1_000_000_000, "exp": 1_000_003_600}, 401),
        ],
        ids=["account", "unverified", "audience", "issuer", "expired"],
    )
    async def test_wrong_token_is_refused(self, pushed_site, authorization, path, claims, status):
        body = push_body("add", 1000, status)
        header = authorization(pushed_site, **claims)
        assert await push(pushed_site, body, header, path=path) == status
        assert not pushed_site.effects("add", result=1000 + status)

    async def test_without_token_is_refused(self, pushed_site, path):
        assert await push(pushed_site, push_body("add", 1000, 1), None, path=path) == 401
        assert not pushed_site.effects("add", result=1001)

    async def test_by_get_is_refused(self, pushed_site, authorization, path):
        header = authorization(pushed_site)
        assert await push(pushed_site, None, header, path=path, method="GET") == 405

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b'{"message": {}}', 400),
            (make_body(make_message("add", 2000, 1), data="%%%"), 400),
            (make_body(make_message("add", 2000, 1, c=3)), 400),
            (make_body(make_message("os.system", "true")), 404),
            (make_body(make_message("add", 2000, 1), key="another key"), 403),
            (make_body(make_message("add", 2000, 1), attributes=None), 403),
            (
                make_body(make_message("add", 2000, 1), subscription="projects/x/subscriptions/y"),
                403,
            ),
        ],
        ids=["empty", "cut", "no data", "base64", "arguments", "task", "key", "unsigned", "other"],
    )
    async def test_wrong_body_is_refused(self, pushed_site, authorization, path, body, status):
        assert await push(pushed_site, body, authorization(pushed_site), path=path) == status
        assert not pushed_site.effects("add", result=2001)


async def test_200_pushes_wait_together_on_one_thread(pushed_site, authorization):
    bodies = [push_body("wait", 1) for _ in range(200)]
    statuses = await push_all(pushed_site, bodies, authorization(pushed_site))
    effects = [e for e in pushed_site.effects() if e["task"] in ("wait", "waited")]
    assert statuses == [204] * 200
    assert [effect["task"] for effect in effects] == ["wait"] * 200 + ["waited"] * 200
    assert len({effect["thread"] for effect in effects}) == 1


async def test_200_pushes_that_query_wait_together(pushed_site, authorization):
    bodies = [push_body("query_and_wait", 2) for _ in range(200)]
    statuses = await push_all(pushed_site, bodies, authorization(pushed_site))
    effects = [e["task"] for e in pushed_site.effects() if e["task"].startswith("quer")]
    assert statuses == [204] * 200
    assert effects == ["queried"] * 200 + ["query_and_wait"] * 200


async def test_pushes_that_use_the_orm_hold_no_more_connections_than_lanes(
    postgres_site, authorization, database_url
):
    tasks = ["query_sync", "query_and_wait"] * 50
    bodies = [push_body(task, 0.2) for task in tasks]
    pushing = asyncio.create_task(push_all(postgres_site, bodies, authorization(postgres_site)))
    most = 0
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while not pushing.done():
            most = max(most, await count_connections(connection))
            await asyncio.sleep(0.01)
    assert await pushing == [204] * 100
    assert 0 < most <= LANES


async def count_connections(connection):
    cursor = await connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return (await cursor.fetchone())[0]


async def test_server_that_is_stopped_answers_503(
    start_site, emulator, certificates, authorization, tmp_path
):
    with start_site(emulator, tmp_path, TESTS_CERTS_URL=certificates.url) as site:
        bodies = [push_body("wait", 60) for _ in range(50)]
        pushing = asyncio.create_task(push_all(site, bodies, authorization(site)))
        await asyncio.to_thread(site.wait_until, lambda: len(site.effects("wait")) == 50)
        assert await asyncio.to_thread(site.process.stop) == 0
        assert await pushing == [503] * 50


async def test_log_has_one_line_a_delivery_and_no_token(pushed_site, authorization):
    message, header = make_message("echo", "the-argument"), authorization(pushed_site)
    assert await push(pushed_site, make_body(message, attempt=7), header) == 204
    line = rf"Task echo succeeded in \d+ ms: id={message.task_id} message=1234567890 attempt=7 "
    pushed_site.process.wait_for(line + r'result=\[\["the-argument"\], \{\}\]\n')
    assert pushed_site.process.output.count(f"id={message.task_id} message") == 1
    assert header.split()[1][:40] not in pushed_site.process.output
