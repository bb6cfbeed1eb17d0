import time

import pytest

from asgi_tasks.emulator.clock import Clock, rfc3339


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def frozen(clock):
    clock.freeze()
    return clock


def test_clock_starts_with_the_machines_time(clock):
    assert clock() == pytest.approx(time.time(), abs=1)
    assert not clock.frozen


def test_running_clock_never_goes_back(clock):
    readings = [clock() for _ in range(1_000)]
    assert readings == sorted(readings)


def test_running_clock_advanced_runs_on(clock):
    before = clock()
    clock.advance(3_600)
    assert clock() == pytest.approx(before + 3_600, abs=1)
    time.sleep(0.001)
    assert clock() > before + 3_600


def test_frozen_clock_stands_still(frozen):
    before = frozen()
    time.sleep(0.001)
    assert frozen.frozen
    assert frozen() == before


def test_freezing_stops_at_the_moment(clock):
    before = clock()
    clock.freeze()
    assert before <= clock() <= before + 1


def test_frozen_clock_moves_exactly_as_far_as_it_is_advanced(frozen):
    before = frozen()
    frozen.advance(90)
    assert frozen() == before + 90


def test_freezing_twice_changes_nothing(frozen):
    before = frozen()
    frozen.freeze()
    assert frozen() == before


@pytest.mark.parametrize("advanced", [0, 0.5, 86_400])
def test_resumed_clock_goes_on_from_where_it_stood(frozen, advanced):
    frozen.advance(advanced)
    stood = frozen()
    frozen.resume()
    assert not frozen.frozen
    assert stood <= frozen() < stood + 1


def test_resuming_a_running_clock_changes_nothing(clock):
    before = clock()
    clock.resume()
    assert before <= clock() < before + 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1.5, "1970-01-01T00:00:01.500000Z"),
        (1_700_000_000, "2023-11-14T22:13:20.000000Z"),
    ],
)
def test_time_is_written_in_utc_with_microseconds(seconds, text):
    assert rfc3339(seconds) == text
