"""The push window and push backoff of one subscription."""

import pytest

from asgi_tasks.emulator.broker.flow import PushFlow
from asgi_tasks.emulator.broker.model import Timing
from tests.unit.emulator.scene import StoppedClock


class Flow(PushFlow):
    """With the clock at hand."""

    def __init__(self, **timing):
        self.clock = StoppedClock()
        super().__init__(clock=self.clock, timing=Timing(**timing))

    def acknowledge(self, count):
        for _ in range(count):
            self.acknowledged()

    def fail(self, count=1):
        """Failures one after the other, each as soon as the pause of the one before is over."""
        for _ in range(count):
            self.clock.now = max(self.clock.now, self.paused_until)
            self.failed()

    def pauses(self, count):
        """How long so many failures in a row pause it."""
        lengths = []
        for _ in range(count):
            self.fail()
            lengths.append(self.paused_until - self.clock.now)
        return lengths


@pytest.fixture
def flow():
    return Flow()


def test_five_pushes_may_be_under_way_at_first(flow):
    assert flow.room(0) == 5
    assert flow.room(4) == 1


@pytest.mark.parametrize("in_flight", [5, 6, 100])
def test_full_window_has_no_room(flow, in_flight):
    assert flow.room(in_flight) == 0


def test_first_window_can_be_chosen():
    assert Flow(push_window=100).room(0) == 100


def test_window_doubles_with_each_round_of_acknowledgements(flow):
    windows = []
    for _ in range(4):
        flow.acknowledge(flow.window)
        windows.append(flow.window)
    assert windows == [10, 20, 40, 80]


def test_window_is_halved_by_a_failure(flow):
    flow.acknowledge(35)
    flow.fail()
    assert flow.window == 20


def test_window_never_closes(flow):
    flow.fail(20)
    assert flow.window == 1


def test_window_ends_at_1_000(flow):
    flow.acknowledge(1_100)
    assert flow.window == 1_000


def test_window_chosen_wider_than_it_would_grow_stays():
    flow = Flow(push_window=1_500)
    flow.acknowledge(10)
    assert flow.window == 1_500


def test_nothing_pauses_it_at_first(flow):
    assert flow.paused_until <= flow.clock.now


def test_pauses_double_from_100_ms_to_60_s(flow):
    doubled = [0.1 * 2**strike for strike in range(10)]
    assert flow.pauses(12) == pytest.approx([*doubled, 60, 60])


def test_pause_of_a_subscription_that_always_fails_stays_finite(flow):
    flow.fail(2_000)
    assert flow.paused_until - flow.clock.now == pytest.approx(60)


def test_failures_during_a_pause_do_not_count_again(flow):
    flow.acknowledge(35)
    flow.failed()
    until = flow.paused_until
    flow.clock.now += 0.05
    for _ in range(10):
        flow.failed()
    assert flow.paused_until == until
    assert flow.window == 20


def test_failure_at_the_end_of_a_pause_counts(flow):
    flow.failed()
    flow.clock.now = flow.paused_until
    flow.failed()
    assert flow.paused_until - flow.clock.now == pytest.approx(0.2)


def test_acknowledgements_shorten_the_next_pause(flow):
    flow.fail(5)
    flow.acknowledge(3)
    assert flow.pauses(1) == pytest.approx([0.4])


def test_pause_after_many_acknowledgements_is_the_shortest(flow):
    flow.fail(3)
    flow.acknowledge(50)
    assert flow.pauses(1) == pytest.approx([0.1])


def test_pauses_are_scaled_but_never_under_10_ms():
    assert Flow(factor=0.01).pauses(12) == pytest.approx(
        [0.01, 0.01, 0.01, 0.01, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 0.6, 0.6]
    )


def test_resuming_ends_a_pause(flow):
    flow.fail()
    flow.resume()
    assert flow.paused_until <= flow.clock.now
