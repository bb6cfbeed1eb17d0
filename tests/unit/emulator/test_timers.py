import pytest

from asgi_tasks.emulator.broker.timers import SUPERSEDED_KEPT, Timers


@pytest.fixture
def timers():
    return Timers()


def test_nothing_set_is_never_due(timers):
    assert timers.next() is None
    assert timers.due(1e12) == []


def test_next_is_the_earliest(timers):
    timers.set("late", 20)
    timers.set("early", 10)
    assert timers.next() == 10


def test_names_are_due_in_the_order_of_their_times(timers):
    for name, at in [("c", 3), ("a", 1), ("d", 4), ("b", 2)]:
        timers.set(name, at)
    assert timers.due(3) == ["a", "b", "c"]
    assert timers.next() == 4


def test_name_is_due_once_until_it_is_set_again(timers):
    timers.set("a", 1)
    assert timers.due(1) == ["a"]
    assert timers.due(9) == []
    timers.set("a", 2)
    assert timers.due(9) == ["a"]


@pytest.mark.parametrize("later", [5, 20])
def test_new_time_takes_the_place_of_the_old(timers, later):
    timers.set("a", 10)
    timers.set("a", later)
    assert timers.next() == later
    assert timers.due(100) == ["a"]


def test_time_set_again_after_another_counts_once(timers):
    for at in (10, 20, 10):
        timers.set("a", at)
    assert timers.due(15) == ["a"]
    assert timers.due(30) == []


def test_none_takes_a_time_away(timers):
    timers.set("a", 10)
    timers.set("a", None)
    timers.set("unknown", None)
    assert timers.next() is None


def test_superseded_times_do_not_pile_up(timers):
    timers.set("soon", 0)
    for at in range(1, 10 * SUPERSEDED_KEPT):
        timers.set("far", at)
    assert len(timers._heap) <= 2 * SUPERSEDED_KEPT
    assert timers.due(0) == ["soon"]
    assert timers.next() == at
