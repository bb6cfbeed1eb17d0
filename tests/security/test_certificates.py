"""Google's keys: fetched once for all, kept as long as Google says, and what if they do not come.

The endpoint is a real socket; the clock is the test's.
"""

import asyncio
import itertools
import json
import time
from contextlib import asynccontextmanager

import pytest

from asgi_tasks.exceptions import Unauthenticated, Unavailable
from asgi_tasks.oidc import Certificates, PushTokenVerifier
from tests.tokens import ACCOUNT, CertificatesServer, Clock

from .forgeries import AUDIENCE, DAY, HOUR, OTHER, SIGNER, bearer


@pytest.fixture(scope="module")
def endpoint():
    server = CertificatesServer({})
    yield server
    server.close()


@pytest.fixture
def server(endpoint):
    """The certificates endpoint as if just started: it serves one key."""
    endpoint.serve(SIGNER.by_key)
    endpoint.status, endpoint.max_age, endpoint.requests = 200, HOUR, 0
    return endpoint


@pytest.fixture
def clock():
    return Clock()


def make_verifier(certificates):
    return PushTokenVerifier(audience=AUDIENCE, service_account=ACCOUNT, certificates=certificates)


async def ask(certificates, *key_ids):
    """What asking for these keys at once comes to."""
    return await asyncio.gather(*map(certificates.get, key_ids), return_exceptions=True)


class TestFetching:
    async def test_thousand_verifications_at_once_fetch_once(self, server):
        verifier = make_verifier(Certificates(server.url))
        tokens = [bearer(sub=str(number)) for number in range(1_000)]
        await asyncio.gather(*map(verifier.verify, tokens))
        assert server.requests == 1

    @pytest.mark.parametrize(
        ("max_age", "seconds"),
        [(100, 100), (20_000, 20_000), (0, 1), (5, 5), (10**8, DAY), ("soon", HOUR)],
    )
    async def test_certificates_are_kept_as_long_as_google_says(
        self, server, clock, max_age, seconds
    ):
        server.max_age = max_age
        certificates = Certificates(server.url, clock=clock)
        requests = []
        for moment in (0, seconds - 1, seconds):
            clock.now = 1_000.0 + moment
            await certificates.get("key-1")
            requests.append(server.requests)
        assert requests == [1, 1, 2]

    async def test_fetch_lets_the_loop_run(self):
        # The server is on this very loop: a blocking fetch would wait for ever.
        async with slow_endpoint() as endpoint:
            getting = asyncio.create_task(Certificates(endpoint.url).get("key-1"))
            await endpoint.is_asked()
            endpoint.answer.set()
            assert await getting == SIGNER.certificate

    async def test_push_that_leaves_does_not_end_the_fetch_for_others(self):
        async with slow_endpoint() as endpoint:
            certificates = Certificates(endpoint.url)
            leaving, staying = (asyncio.create_task(certificates.get("key-1")) for _ in range(2))
            await endpoint.is_asked()
            leaving.cancel()
            endpoint.answer.set()
            assert await staying == SIGNER.certificate
            assert leaving.cancelled()
        assert endpoint.requests == 1

    async def test_fetch_goes_on_when_all_who_waited_have_left(self, clock):
        async with slow_endpoint() as endpoint:
            certificates = Certificates(endpoint.url, clock=clock)
            leaving = [asyncio.create_task(certificates.get("key-1")) for _ in range(3)]
            await endpoint.is_asked()
            for one in leaving:
                one.cancel()
            await asyncio.wait(leaving)
            endpoint.answer.set()
            assert await certificates.get("key-1") == SIGNER.certificate
        assert endpoint.requests == 1

    def test_fetch_of_another_loop_is_not_waited_for(self, server):
        certificates = Certificates(server.url)
        with asyncio.Runner() as other:
            waiting = other.get_loop().create_task(certificates.get("key-1"))
            other.run(asyncio.sleep(0))
            getting = asyncio.wait_for(certificates.get("key-1"), 5)
            assert asyncio.run(getting) == SIGNER.certificate
            other.get_loop().run_until_complete(waiting)

    def test_certificates_serve_one_loop_after_the_other(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        for _ in range(2):
            asyncio.run(certificates.get("key-1"))
            clock.now += server.max_age
        assert server.requests == 2


class TestUnknownKey:
    async def test_token_of_an_unknown_key_is_unauthenticated(self, server):
        with pytest.raises(Unauthenticated):
            await Certificates(server.url).get("key-9")

    async def test_flood_of_unknown_keys_fetches_once_a_minute(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        requests = []
        for second in range(181):
            clock.now = 1_000.0 + second
            answers = await ask(certificates, *(f"key-{second}-{n}" for n in range(20)))
            assert {type(answer) for answer in answers} == {Unauthenticated}
            requests.append(server.requests)
        assert requests == [1] * 60 + [2] * 60 + [3] * 60 + [4]

    async def test_flood_fetches_no_more_often_from_an_endpoint_that_fails(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        server.status = 500
        for second in range(181):
            clock.now = 1_000.0 + second
            await ask(certificates, *(f"key-{second}-{n}" for n in range(20)))
        assert server.requests == 4

    async def test_flood_does_not_hold_up_known_keys(self, clock):
        async with slow_endpoint() as endpoint:
            endpoint.answer.set()
            certificates = Certificates(endpoint.url, clock=clock)
            await certificates.get("key-1")
            endpoint.answer.clear()
            clock.now += 60
            flood = [asyncio.create_task(certificates.get(f"key-{n}")) for n in range(2, 1_000)]
            await endpoint.is_asked()
            assert await certificates.get("key-1") == SIGNER.certificate
            assert not any(one.done() for one in flood)
            endpoint.answer.set()
            await asyncio.wait(flood)


class TestRotation:
    async def test_new_key_is_accepted_after_one_fetch(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        server.serve(SIGNER.by_key | OTHER.by_key)
        clock.now += 60
        assert (
            await ask(certificates, *["key-2", "key-1"] * 50)
            == [
                OTHER.certificate,
                SIGNER.certificate,
            ]
            * 50
        )
        assert server.requests == 2

    async def test_no_push_is_refused_while_keys_change_as_google_s_do(self, server, clock):
        """A new key is published a while before tokens are signed with it."""
        certificates = Certificates(server.url, clock=clock)
        keys = [(f"key-{day}", (SIGNER, OTHER)[day % 2].certificate) for day in range(6)]
        for one, other in itertools.pairwise(keys):
            server.serve(dict([one, other]))
            for _ in range(24):
                clock.now += HOUR
                assert await certificates.get(one[0]) == one[1]
        assert server.requests <= 5 * 24

    async def test_keys_that_change_every_few_seconds_are_followed(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        server.max_age = 5
        for key_id, certificate in [*SIGNER.by_key.items(), *OTHER.by_key.items()] * 3:
            server.serve({key_id: certificate})
            assert await certificates.get(key_id) == certificate
            clock.now += 5

    async def test_key_that_google_withdrew_is_refused(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        server.serve(OTHER.by_key)
        clock.now += server.max_age
        with pytest.raises(Unauthenticated):
            await certificates.get("key-1")


FAILURES = {
    "404": {"status": 404},
    "500": {"status": 500},
    "201": {"status": 201},
    "a redirect": {"status": 302},
    "empty": {"body": b""},
    "no JSON": {"body": b"<html>"},
    "no UTF-8": {"body": b"\xff"},
    "a list": {"body": b"[]"},
    "no keys": {"body": b"{}"},
    "a key set": {"body": json.dumps({"keys": [{"kid": "key-1"}]}).encode()},
    "a number": {"body": b'{"key-1": 1}'},
    "a public key": {"body": b'{"key-1": "-----BEGIN PUBLIC KEY-----"}'},
    "a certificate of garbage": {"body": b'{"key-1": "-----BEGIN CERTIFICATE-----\\nAAAA"}'},
    "a certificate cut off": {"body": json.dumps({"key-1": SIGNER.certificate[:400]}).encode()},
    "one of them broken": {"body": json.dumps(SIGNER.by_key | {"key-2": ""}).encode()},
    "a key twice": {"body": b'{"key-1": "", %b' % json.dumps(SIGNER.by_key)[1:].encode()},
}


def fail(server, failure):
    for name, value in failure.items():
        setattr(server, name, value)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
class TestFailingEndpoint:
    async def test_without_any_keys_the_push_is_not_to_be_judged(self, server, failure):
        fail(server, failure)
        with pytest.raises(Unavailable):
            await make_verifier(Certificates(server.url)).verify(bearer())

    async def test_keys_serve_a_day_longer_and_no_more(self, server, clock, failure):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        fail(server, failure)
        clock.now += server.max_age + DAY - 1
        assert await certificates.get("key-1") == SIGNER.certificate
        clock.now += 1
        with pytest.raises(Unavailable):
            await certificates.get("key-1")

    async def test_unknown_key_is_not_to_be_judged_by_keys_out_of_date(
        self, server, clock, failure
    ):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        fail(server, failure)
        clock.now += server.max_age
        with pytest.raises(Unavailable):
            await certificates.get("key-9")


class TestUnreachableEndpoint:
    async def test_without_any_keys_the_push_is_not_to_be_judged(self):
        with pytest.raises(Unavailable):
            await make_verifier(Certificates("http://127.0.0.1:1/")).verify(bearer())

    async def test_keys_serve_a_day_longer(self, clock):
        async with slow_endpoint() as endpoint:
            endpoint.answer.set()
            certificates = Certificates(endpoint.url, clock=clock)
            await certificates.get("key-1")
        clock.now += HOUR + DAY - 1
        assert await certificates.get("key-1") == SIGNER.certificate

    async def test_failure_is_logged_with_the_address(self, caplog):
        with pytest.raises(Unavailable):
            await Certificates("http://127.0.0.1:1/certs").get("key-1")
        assert "http://127.0.0.1:1/certs" in caplog.text

    async def test_failed_fetch_is_tried_again_after_five_seconds(self, server, clock):
        server.status = 500
        certificates = Certificates(server.url, clock=clock)
        requests = []
        for moment in (0, 0, 4.9, 5):
            clock.now = 1_000.0 + moment
            with pytest.raises(Unavailable):
                await certificates.get("key-1")
            requests.append(server.requests)
        assert requests == [1, 1, 1, 2]

    async def test_endpoint_that_is_back_serves_again(self, server, clock):
        server.status = 500
        certificates = Certificates(server.url, clock=clock)
        with pytest.raises(Unavailable):
            await certificates.get("key-1")
        server.status = 200
        clock.now += 5
        assert await certificates.get("key-1") == SIGNER.certificate

    async def test_endpoint_that_is_back_in_time_brings_the_new_keys(self, server, clock):
        server.max_age = 100
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        server.status = 500
        clock.now += 96  # the keys are fresh for four seconds more
        await ask(certificates, "key-2")
        server.status = 200
        server.serve(OTHER.by_key)
        clock.now += 5
        assert await certificates.get("key-2") == OTHER.certificate

    async def test_certificates_are_not_fetched_from_where_a_redirect_leads(self, server):
        elsewhere = CertificatesServer({})
        elsewhere.status, elsewhere.location = 302, server.url
        try:
            with pytest.raises(Unavailable):
                await Certificates(elsewhere.url).get("key-1")
        finally:
            elsewhere.close()
        assert (elsewhere.requests, server.requests) == (1, 0)


class TestHangingEndpoint:
    """It takes the connection and says nothing; the keys are out of date, and known."""

    async def test_push_of_a_known_key_is_served_after_about_a_second(self, hanging):
        endpoint, certificates, _ = hanging
        began = time.monotonic()
        assert await certificates.get("key-1") == SIGNER.certificate
        assert 0.5 < time.monotonic() - began < 5  # the fetch itself gives up after ten
        assert endpoint.requests == 2

    async def test_later_pushes_of_a_known_key_do_not_wait_at_all(self, hanging):
        endpoint, certificates, clock = hanging
        first = asyncio.create_task(certificates.get("key-1"))
        await endpoint.is_asked()
        clock.now += 1
        assert set(await ask(certificates, *["key-1"] * 100)) == {SIGNER.certificate}
        assert not first.done()  # it waits its second
        first.cancel()

    async def test_fetch_goes_on_and_brings_the_new_keys(self, hanging):
        endpoint, certificates, clock = hanging
        waiting = asyncio.create_task(certificates.get("key-2"))
        await endpoint.is_asked()
        clock.now += 1
        await certificates.get("key-1")
        endpoint.by_key = SIGNER.by_key | OTHER.by_key
        endpoint.answer.set()
        assert await waiting == OTHER.certificate
        assert endpoint.requests == 2

    async def test_push_of_an_unknown_key_waits_for_the_fetch(self, hanging):
        endpoint, certificates, clock = hanging
        first = asyncio.create_task(certificates.get("key-1"))
        await endpoint.is_asked()
        clock.now += 9
        waiting = asyncio.create_task(certificates.get("key-2"))
        await first
        endpoint.by_key = OTHER.by_key
        endpoint.answer.set()
        assert await waiting == OTHER.certificate

    async def test_push_waits_for_the_fetch_once_the_keys_are_too_old(self, hanging):
        endpoint, certificates, clock = hanging
        clock.now += DAY
        first = asyncio.create_task(certificates.get("key-1"))
        await endpoint.is_asked()
        clock.now += 9
        waiting = asyncio.create_task(certificates.get("key-1"))
        endpoint.answer.set()
        assert await asyncio.gather(first, waiting) == [SIGNER.certificate] * 2

    async def test_without_any_keys_the_push_is_not_to_be_judged(self, monkeypatch):
        monkeypatch.setattr("asgi_tasks.oidc.FETCH_TIMEOUT", 0.1)
        async with slow_endpoint() as endpoint:
            with pytest.raises(Unavailable):
                await asyncio.wait_for(Certificates(endpoint.url).get("key-1"), 5)
        assert endpoint.requests == 1

    @pytest.fixture
    async def hanging(self, clock):
        async with slow_endpoint() as endpoint:
            endpoint.answer.set()
            certificates = Certificates(endpoint.url, clock=clock)
            await certificates.get("key-1")
            endpoint.answer.clear()
            clock.now += HOUR
            yield endpoint, certificates, clock


class SlowEndpoint:
    """An endpoint on the running loop; it answers when `answer` is set."""

    def __init__(self):
        self.answer = asyncio.Event()
        self.by_key = SIGNER.by_key
        self.requests = 0
        self._asked = asyncio.Event()

    async def is_asked(self):
        """Wait for a request that waits for its answer."""
        await asyncio.wait_for(self._asked.wait(), 5)

    async def serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        if not self.answer.is_set():
            self._asked.set()
        await self.answer.wait()
        body = json.dumps(self.by_key).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def slow_endpoint():
    endpoint = SlowEndpoint()
    async with await asyncio.start_server(endpoint.serve, "127.0.0.1", 0) as server:
        endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/certs"
        try:
            yield endpoint
        finally:
            endpoint.answer.set()
