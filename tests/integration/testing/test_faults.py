import time
import urllib.error

import pytest

from asgi_tasks.testing import EmulatorError

from .pubsub import PubSub, statuses

OTHERS = "projects/shop/topics/others"
OTHERS_QUEUE = "projects/shop/subscriptions/others-sub"


@pytest.fixture
def others(pubsub, endpoint):
    """A second topic and its subscription."""
    pubsub.subscribe(endpoint.url, topic=OTHERS, name=OTHERS_QUEUE)


def test_fail_next_fails_so_many_pushes(emulator, endpoint, pubsub):
    emulator.fail_next(2, status=429)
    pubsub.publish()
    assert statuses(emulator.deliver_all()) == [429, 429]
    assert endpoint.pushes == []
    assert statuses(emulator.deliver_all()) == [204]


def test_fail_next_fails_one_with_503(emulator, pubsub):
    emulator.fail_next()
    pubsub.publish()
    first, second = emulator.deliver_all()
    assert (first.status, first.fault) == (503, "push.fail")
    assert (second.status, second.fault) == (204, None)


@pytest.mark.parametrize("name", [OTHERS_QUEUE, "others-sub"])
def test_fail_next_fails_one_subscription(emulator, pubsub, others, name):
    emulator.fail_next(subscription=name)
    pubsub.publish()
    assert statuses(emulator.deliver_all()) == [204]
    pubsub.publish(topic=OTHERS)
    assert statuses(emulator.deliver_all()) == [503, 204]


def test_drop_next_loses_a_push(emulator, endpoint, pubsub):
    emulator.drop_next()
    pubsub.publish()
    dropped, again = emulator.deliver_all()
    assert (dropped.status, dropped.fault) == (None, "push.drop")
    assert (again.status, again.attempt) == (204, 2)
    assert len(endpoint.pushes) == 1


def test_dropped_push_comes_again_after_its_ack_deadline(emulator, endpoint):
    pubsub = PubSub(emulator)
    pubsub.subscribe(endpoint.url, delay=0, ackDeadlineSeconds=10)  # a tenth of a second here
    emulator.drop_next()
    pubsub.publish()
    assert statuses(emulator.wait_until_settled()) == [None, 204]


def test_duplicate_next_pushes_twice(emulator, endpoint, pubsub):
    emulator.duplicate_next()
    message_id = pubsub.publish()
    deliveries = emulator.deliver_all()
    assert [(one.status, one.attempt) for one in deliveries] == [(204, 1), (204, 1)]
    assert [push["messageId"] for push in endpoint.pushes] == [message_id] * 2


@pytest.mark.parametrize("status", [429, 503])
def test_refuse_publish_refuses(emulator, pubsub, status):
    emulator.refuse_publish(status=status)
    with pytest.raises(urllib.error.HTTPError) as refused:
        pubsub.publish()
    refused.value.close()
    assert refused.value.code == status
    pubsub.publish()


def test_refuse_publish_refuses_one_topic(emulator, pubsub, others):
    emulator.refuse_publish(topic="others")
    pubsub.publish()
    with pytest.raises(urllib.error.HTTPError) as refused:
        pubsub.publish(topic=OTHERS)
    refused.value.close()


def test_fault_takes_what_the_emulator_knows(emulator, pubsub):
    emulator.fault("push.delay", seconds=0.3, count=1, subscription="receipts-sub")
    started = time.monotonic()
    pubsub.publish()
    (delivery,) = emulator.deliver_all()
    assert delivery.fault == "push.delay"
    assert time.monotonic() - started >= 0.3


def test_fault_of_a_call_refuses_it(emulator):
    emulator.fault("call.error", status=429, count=1, call="CreateTopic")
    with pytest.raises(urllib.error.HTTPError) as refused:
        PubSub(emulator).create_topic(OTHERS)
    refused.value.close()
    assert refused.value.code == 429


def test_fault_without_a_count_lasts_until_it_is_cleared(emulator, pubsub):
    emulator.fault("push.fail", rate=1, status=500)
    pubsub.publish()
    emulator.deliver_all()
    assert statuses(emulator.deliver_all()) == [500]
    emulator.clear_faults()
    assert statuses(emulator.deliver_all()) == [204]


@pytest.mark.parametrize(
    ("ask", "complaint"),
    [
        (lambda e: e.fault("push.explode"), "kind: 'push.explode' is none of push.fail, "),
        (lambda e: e.fail_next(status=204), "status: 204 is not "),
        (lambda e: e.drop_next(0), "count: 0 is not "),
        (lambda e: e.refuse_publish(status=500), "status: 500 is not "),
        (lambda e: e.fault("push.fail", rate=2), "rate: 2.0 is not "),
        (
            lambda e: e.fail_next(subscription="recipes"),
            "'recipes' is not one of the subscriptions",
        ),
        (lambda e: e.refuse_publish(topic="recipes"), "'recipes' is not one of the topics: none"),
    ],
)
def test_fault_that_cannot_be_is_refused(emulator, ask, complaint):
    with pytest.raises(EmulatorError) as refused:
        ask(emulator)
    assert complaint in str(refused.value)


def test_fault_of_a_subscription_and_a_topic_is_refused(emulator):
    with pytest.raises(ValueError, match="not several"):
        emulator.fault("push.fail", subscription="receipts-sub", topic="receipts")
