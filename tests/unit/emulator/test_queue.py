"""One subscription's messages: leased, extended, settled and retried."""

import pytest

from asgi_tasks.emulator.broker.model import (
    DAY,
    RetryPolicy,
    State,
    Timing,
)
from tests.unit.emulator.scene import SUB, Scene, ids

# Leases


def test_message_is_leased_once(scene):
    scene.subscribe()
    published = scene.publish()
    assert scene.leased() == [published]
    assert scene.leased() == []
    assert scene.states() == ["outstanding"]


def test_messages_are_leased_in_order_and_at_most_the_limit(scene):
    scene.subscribe()
    published = [scene.publish() for _ in range(5)]
    assert [ids(scene.lease(3)), ids(scene.lease(3))] == [published[:3], published[3:]]


def test_acknowledged_message_stays_away(scene):
    scene.subscribe()
    scene.publish()
    scene.acknowledge(*scene.lease(seconds=10))
    scene.wait(1_000)
    assert scene.leased() == []
    assert scene.states() == ["acknowledged"]


def test_delivery_is_settled_only_once(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease()
    scene.acknowledge(lease)
    assert not scene.broker.acknowledge(SUB, lease.ack_id)
    assert not scene.broker.nack(SUB, lease.ack_id)
    assert scene.queue.totals[State.ACKNOWLEDGED] == 1


def test_ack_id_of_an_earlier_delivery_no_longer_fits(scene):
    scene.subscribe()
    scene.publish()
    first = scene.nack_next()
    [second] = scene.lease()
    assert not scene.broker.acknowledge(SUB, first.ack_id)
    assert scene.broker.acknowledge(SUB, second.ack_id)


def test_waiting_and_outstanding_messages_are_counted(scene):
    scene.subscribe()
    for _ in range(5):
        scene.publish()
    first, second = scene.lease(2)
    scene.acknowledge(first)
    scene.nack(second)
    scene.lease(1)
    assert (scene.queue.waiting, scene.queue.outstanding) == (3, 1)


# Ack deadlines


def test_lease_that_ran_out_counts_as_a_nack(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease(seconds=10)
    scene.wait(10)
    assert not scene.broker.acknowledge(SUB, lease.ack_id)
    assert lease.delivery.error == "the ack deadline passed"
    assert scene.lease()[0].attempt == 2


def test_lease_is_kept_until_its_last_moment(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease(seconds=10)
    scene.wait(9.999)
    scene.acknowledge(lease)


def test_leases_run_out_each_at_its_own_time(scene):
    scene.subscribe()
    published = [scene.publish() for _ in range(3)]
    for seconds in (30, 10, 20):
        scene.lease(1, seconds=seconds)
    scene.wait(20)
    assert scene.leased() == published[1:]


@pytest.mark.parametrize(("seconds", "state"), [(60, "outstanding"), (5, "waiting")])
def test_extended_lease_ends_at_its_new_deadline(scene, seconds, state):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease(seconds=10)
    scene.broker.extend(SUB, lease.ack_id, seconds)
    scene.wait(5 if state == "waiting" else 59)
    assert scene.states() == [state]


def test_extending_counts_from_now(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease(seconds=10)
    scene.wait(9)
    scene.broker.extend(SUB, lease.ack_id, 10)
    assert scene.broker.next_wake() == 1_019


def test_lease_that_ended_is_not_extended(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease(seconds=10)
    scene.wait(10)
    scene.broker.extend(SUB, lease.ack_id, 60)
    assert scene.states() == ["waiting"]


def test_lease_without_seconds_never_runs_out_and_is_not_extended(scene):
    scene.subscribe(retention=1_000 * DAY)
    scene.publish()
    [lease] = scene.lease(seconds=None)
    scene.broker.extend(SUB, lease.ack_id, 10)
    scene.wait(100 * DAY)
    assert scene.states() == ["outstanding"]


def test_lease_without_seconds_after_one_that_had_them_is_not_extended(scene):
    scene.subscribe()
    scene.publish()
    scene.nack(*scene.lease(seconds=10))
    [lease] = scene.lease(seconds=None)
    scene.broker.extend(SUB, lease.ack_id, 10)
    scene.wait(10)
    assert scene.states() == ["outstanding"]


def test_deadline_of_an_earlier_delivery_does_not_end_a_later_one(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease(seconds=10)
    scene.nack(lease)
    scene.lease(seconds=60)
    scene.wait(10)
    assert scene.states() == ["outstanding"]


# Retries


def test_nacked_message_without_a_retry_policy_is_due_at_once(scene):
    scene.subscribe()
    scene.publish()
    scene.nack_next()
    assert [lease.attempt for lease in scene.lease()] == [2]


def test_retry_policy_backs_off_exponentially_up_to_its_maximum(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=10, maximum_backoff=60))
    scene.publish()
    delays = []
    for _ in range(5):
        scene.nack_next()
        delays.append(scene.queue.next_due() - scene.clock.now)
        scene.wait(delays[-1])
    assert delays == [10, 20, 40, 60, 60]


def test_backoff_of_a_message_that_failed_very_often_stays_finite():
    assert RetryPolicy(minimum_backoff=1, maximum_backoff=600).delay(1_000_000) == 600


def test_time_factor_multiplies_the_backoff():
    scene = Scene(timing=Timing(factor=0.01))
    scene.subscribe(retry=RetryPolicy(minimum_backoff=10))
    scene.publish()
    scene.nack_next()
    assert scene.queue.next_due() - scene.clock.now == pytest.approx(0.1)


def test_message_is_not_leased_before_its_backoff_has_passed(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=10))
    scene.publish()
    scene.nack_next()
    scene.wait(9.9)
    assert scene.leased() == []
    scene.wait(0.1)
    assert len(scene.leased()) == 1


def test_lease_that_ran_out_backs_off_too(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=10))
    scene.publish()
    scene.lease(seconds=10)
    scene.wait(10)
    scene.broker.catch_up()
    assert scene.queue.next_due() == 1_020


def test_one_failing_message_does_not_hold_up_another(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=10))
    scene.publish()
    scene.nack_next()
    second = scene.publish()
    assert scene.leased() == [second]


def test_messages_made_due_are_leased_at_once(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=600))
    published = [scene.publish() for _ in range(3)]
    for lease in scene.lease():
        scene.nack(lease)
    scene.broker.make_due(SUB)
    assert scene.leased() == published


def test_messages_made_due_come_in_the_order_of_publication(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=10))
    published = [scene.publish() for _ in range(2)]
    scene.nack_next()
    scene.nack(*scene.lease())
    scene.wait(10)
    scene.nack_next()
    scene.broker.make_due()
    assert scene.leased() == published


def test_messages_made_due_come_after_those_that_were(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=10))
    failed = scene.publish()
    scene.nack_next()
    scene.wait(1)
    fresh = scene.publish()
    scene.wait(1)
    scene.broker.make_due()
    assert scene.leased() == [fresh, failed]


def test_making_one_subscription_due_leaves_the_others(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=600))
    scene.publish()
    scene.nack_next()
    scene.broker.make_due("projects/p/subscriptions/dead-sub")
    assert scene.leased() == []


def test_making_due_without_a_name_is_for_all(scene):
    scene.subscribe(retry=RetryPolicy(minimum_backoff=600))
    published = scene.publish()
    scene.nack_next()
    scene.broker.make_due()
    assert scene.leased() == [published]


def test_making_due_leaves_what_is_outstanding(scene):
    scene.subscribe()
    scene.publish()
    scene.lease(seconds=10)
    scene.broker.make_due()
    assert scene.leased() == []
