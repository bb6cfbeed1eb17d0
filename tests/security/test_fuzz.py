"""Pushes at random; tests/security/fuzz.py goes on for as long as one likes."""

import asyncio
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.processes import python

from . import mutations
from .forgeries import AUDIENCE, SIGNER
from .mutations import Request
from .settings import own_tasks
from .target import Broken, Target, check_response
from .tasks import calls

chances = st.randoms(use_true_random=False)
patiently = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def site_with_own_tasks(google):
    with own_tasks(google.url):
        yield


@pytest.fixture(scope="module")
def target():
    with Target(SIGNER.token(AUDIENCE)) as target:
        yield target


@settings(patiently, max_examples=300)
@given(chance=chances)
async def test_push_made_wrong_is_refused_and_the_next_one_runs(target, chance):
    await target.check(mutations.hostile(chance))
    await target.check(mutations.good(chance), has_to_run=True)


@settings(patiently, max_examples=300)
@given(body=st.binary(), headers=st.booleans())
async def test_noise_is_refused(target, body, headers):
    request = Request(body=body)
    if headers:
        request.headers = {"content-type": body.decode("latin-1"), "authorization": "Bearer x"}
    assert await target.check(request) == (401 if headers else 400)


@settings(patiently, max_examples=200)
@given(chance=chances, cut=st.data())
async def test_good_push_that_is_cut_is_refused(target, chance, cut):
    request = mutations.good(chance)
    end = cut.draw(st.integers(0, len(request.body) - 1))
    assert await target.check(Request(body=request.body[:end])) == 400


def test_any_order_of_good_wrong_and_repeated_pushes(target):
    class Pushes(RuleBasedStateMachine):
        """Pub/Sub, which repeats itself, and those who would like to be Pub/Sub."""

        def __init__(self):
            super().__init__()
            self.runner = asyncio.Runner()
            self.sent = []

        @initialize(chance=chances)
        def begin(self, chance):
            self.push_good(chance)

        @rule(chance=chances)
        def push_good(self, chance):
            request = mutations.good(chance)
            self.runner.run(target.check(request, has_to_run=True))
            self.sent.append(request)

        @rule(chance=chances)
        def push_hostile(self, chance):
            self.runner.run(target.check(mutations.hostile(chance)))

        @rule(chance=chances)
        def push_again(self, chance):
            self.runner.run(target.check(chance.choice(self.sent), has_to_run=True))

        @rule(chance=chances, count=st.integers(2, 5))
        def push_at_once(self, chance, count):
            request = chance.choice(self.sent)
            calls.clear()
            answers = self.runner.run(at_once(target, [request] * count))
            assert {check_response(answer) for answer in answers} == {204}
            assert 1 <= len(calls) <= count  # those that came in time joined it

        def teardown(self):
            self.runner.close()

    run_state_machine_as_test(
        Pushes, settings=settings(patiently, max_examples=30, stateful_step_count=15)
    )


async def at_once(target, requests):
    return await asyncio.gather(*map(target.push, requests))


def test_memory_stays_flat_under_malformed_and_refused_pushes():
    line = python("-m", "tests.security.fuzz", "--cases", 4000, "--megabytes", 200, "--seed", 1)
    facts = json.loads(line)
    assert sum(facts["statuses"].values()) == 4000
    assert facts["statuses"]["204"] > 100
    assert facts["kB after"] - facts["kB before"] < 30_000


class TestTarget:
    """What finds no fault has to be able to."""

    async def no_answer(self, scope, receive, send):
        pass

    async def always_204(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def always_500(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def traceback(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"Traceback"})

    @pytest.mark.parametrize("name", ["no_answer", "always_204", "always_500", "traceback"])
    async def test_broken_promise_is_found(self, name):
        with Target(SIGNER.token(AUDIENCE)) as target:
            target._application = getattr(self, name)
            with pytest.raises(Broken):
                await target.check(mutations.good(random.Random(1)), has_to_run=True)

    async def test_good_push_that_is_refused_is_found(self):
        with Target("a wrong token") as target, pytest.raises(Broken):
            await target.check(mutations.good(random.Random(1)), has_to_run=True)
