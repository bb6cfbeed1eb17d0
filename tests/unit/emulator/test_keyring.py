"""Which keys are shown while they rotate, in a time that passes as fast as it is waited for."""

import asyncio
import selectors
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import pytest

from asgi_tasks.emulator.push.keyring import Keyring

PERIOD = 90.5
MAKING_A_KEY = 2.0  # seconds, of a machine that is slow


class QuickSelector(selectors.DefaultSelector):
    """Never waits: the time is over at once."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


class QuickLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._quick = QuickSelector()
        super().__init__(self._quick)
        self.set_default_executor(InlineExecutor(self._quick))

    def time(self):
        return self._quick.now


class InlineExecutor(ThreadPoolExecutor):
    """Works at once, and takes its time for it."""

    def __init__(self, selector):
        super().__init__()
        self._selector = selector

    def submit(self, function, /, *args, **kwargs):
        self._selector.now += MAKING_A_KEY
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


async def watch(keyring, *, every, until):
    """Rotate, and note by and by: the time, the key that signs, and the keys that are shown."""
    time, seen = asyncio.get_running_loop().time, []
    rotation = asyncio.create_task(keyring.rotate())
    while time() < until:
        seen.append((time(), keyring.current.kid, set(keyring.certificates())))
        await asyncio.sleep(every)
    rotation.cancel()
    return seen


@pytest.fixture(scope="module")
def seen():
    """Three rotations, looked at often."""
    keyring = Keyring(rotated_every=PERIOD)
    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        return runner.run(watch(keyring, every=0.5, until=3.5 * PERIOD))


@pytest.fixture(scope="module")
def still():
    return Keyring()


def signing_keys(seen):
    return list(dict.fromkeys(current for _, current, _ in seen))


def times(seen, is_so):
    return [at for at, current, shown in seen if is_so(current, shown)]


def test_keys_rotate_with_the_period(seen):
    keys = signing_keys(seen)
    starts = [times(seen, lambda current, _, key=key: current == key)[0] for key in keys]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(keys) == 4
    assert gaps == pytest.approx([PERIOD + MAKING_A_KEY] * 3, abs=MAKING_A_KEY + 0.5)


def test_key_that_signs_is_always_shown(seen):
    assert all(current in shown for _, current, shown in seen)


def test_next_key_is_shown_for_a_period_before_it_signs(seen):
    for key in signing_keys(seen)[1:]:
        first_shown = times(seen, lambda _, shown, key=key: key in shown)[0]
        first_used = times(seen, lambda current, _, key=key: current == key)[0]
        assert first_used - first_shown >= PERIOD - 0.5


def test_previous_key_is_shown_for_a_period_after_it_signed(seen):
    for key in signing_keys(seen)[:2]:
        last_shown = times(seen, lambda _, shown, key=key: key in shown)[-1]
        last_used = times(seen, lambda current, _, key=key: current == key)[-1]
        assert last_shown - last_used >= PERIOD - 0.5


def test_key_before_the_previous_one_is_not_shown(seen):
    first = signing_keys(seen)[0]
    assert first not in seen[-1][2]
    assert max(len(shown) for *_, shown in seen) == 3


@pytest.mark.parametrize("offset", range(0, 90, 9))
def test_verifier_that_caches_as_long_as_it_may_never_meets_an_unknown_key(seen, offset):
    max_age = int(PERIOD)
    cached, fetched_at = set(), -1_000.0
    for at, current, shown in seen[2 * offset :]:
        if at - fetched_at >= max_age:
            cached, fetched_at = shown, at
        assert current in cached


@pytest.mark.parametrize(
    ("period", "max_age"), [(None, 3600), (7_200, 3600), (3_600, 3600), (90.5, 90), (0.5, 0)]
)
def test_certificates_may_be_cached_no_longer_than_a_period(period, max_age):
    assert Keyring(rotated_every=period).max_age == max_age


async def test_keyring_without_a_period_does_not_rotate(still):
    before = still.current
    async with asyncio.timeout(1):
        await still.rotate()
    assert still.current is before


def test_certificates_and_key_set_show_the_same_keys(still):
    assert list(still.certificates()) == [key["kid"] for key in still.key_set()["keys"]]
    assert list(still.certificates()) == [still.current.kid]
