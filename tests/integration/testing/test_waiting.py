import time
from datetime import timedelta

import pytest
from aiohttp import web

from asgi_tasks.testing import DeliveryTimeout, Emulator, EmulatorError

from .pubsub import LONG, QUEUE, TOPIC, PubSub, statuses, until

DEAD = "projects/shop/topics/dead"
DEAD_QUEUE = "projects/shop/subscriptions/dead-sub"


# deliver_all


def test_deliver_all_returns_a_delivery_that_was_there_before(emulator, pubsub):
    pubsub.publish()
    until(lambda: emulator.messages(state="acknowledged"))
    assert statuses(emulator.deliver_all()) == [204]


def test_deliver_all_returns_each_delivery_once(emulator, pubsub):
    pubsub.publish(task_id="1")
    emulator.deliver_all()
    pubsub.publish(task_id="2")
    assert [delivery.task_id for delivery in emulator.deliver_all()] == ["2"]
    assert emulator.deliver_all() == []


def test_deliver_all_pushes_what_waits_for_its_retry(emulator, endpoint, pubsub):
    endpoint.answers = [500]
    pubsub.publish()
    until(lambda: emulator.messages(state="waiting"))
    assert statuses(emulator.deliver_all()) == [500, 204]


def test_deliver_all_leaves_what_fails_again_to_the_next_call(emulator, endpoint, pubsub):
    endpoint.answers = [500, 501, 502]
    pubsub.publish()
    assert statuses(emulator.deliver_all()) == [500, 501]
    assert statuses(emulator.deliver_all()) == [502]
    assert statuses(emulator.deliver_all()) == [204]


def test_deliver_all_waits_for_what_is_enqueued_meanwhile(emulator, endpoint, pubsub):
    def follow_up(message):
        if int(message["attributes"]["task_id"]) < 5:
            pubsub.publish(task_id=str(int(message["attributes"]["task_id"]) + 1))

    endpoint.when_pushed = follow_up
    pubsub.publish(task_id="1")
    deliveries = emulator.deliver_all()
    assert sorted(delivery.task_id for delivery in deliveries) == ["1", "2", "3", "4", "5"]


def test_deliver_all_pushes_despite_push_backoff(emulator, endpoint, pubsub):
    """The failure pauses the subscription, for ever as time stands still."""
    endpoint.answers = [500]
    pubsub.publish(task_id="1")
    until(lambda: emulator.messages(state="waiting"))
    pubsub.publish(task_id="2")
    emulator.deliver_all()
    assert len(emulator.messages(state="acknowledged")) == 2


def test_deliver_all_pushes_what_is_enqueued_during_push_backoff(emulator, endpoint, pubsub):
    def push(message):
        match message["attributes"]["task_id"]:
            case "fails":
                return 500
            case "enqueues":
                until(lambda: statuses(emulator.deliveries(task_id="fails")) == [500, 500])
                pubsub.publish(task_id="enqueued")
        return 204

    endpoint.when_pushed = push
    pubsub.publish(task_id="fails")
    until(lambda: emulator.messages(state="waiting"))
    pubsub.publish(task_id="enqueues")
    emulator.deliver_all()
    acknowledged = [message.task_id for message in emulator.messages(state="acknowledged")]
    assert acknowledged == ["enqueues", "enqueued"]


def test_deliver_all_does_not_wait_behind_a_failure_of_the_same_ordering_key(emulator, endpoint):
    pubsub = PubSub(emulator)
    pubsub.subscribe(endpoint.url, enableMessageOrdering=True)
    emulator.clock.freeze()
    endpoint.answers = [500, 500]
    pubsub.publish(task_id="1", orderingKey="k")
    pubsub.publish(task_id="2", orderingKey="k")
    assert statuses(emulator.deliver_all()) == [500, 500]
    assert statuses(emulator.deliver_all()) == [204, 204]


def test_deliver_all_does_not_wait_for_what_is_pulled(emulator, pubsub):
    pubsub.subscribe(None, name=DEAD_QUEUE)
    pubsub.publish()
    assert statuses(emulator.deliver_all()) == [204]


def test_deliver_all_does_not_tell_of_pulls(emulator, pubsub):
    pubsub.subscribe(None, name=DEAD_QUEUE)
    pubsub.publish()
    pubsub.pull_and_acknowledge(DEAD_QUEUE)
    assert [delivery.subscription for delivery in emulator.deliver_all()] == [QUEUE]
    assert len(emulator.deliveries(subscription=DEAD_QUEUE)) == 1


def test_deliver_all_delivers_many(emulator, endpoint, pubsub):
    for number in range(200):
        pubsub.publish(task_id=str(number))
    assert statuses(emulator.deliver_all()) == [204] * 200


def test_deliver_all_of_nothing_returns_nothing(emulator):
    assert emulator.deliver_all() == []


def test_deliver_all_ends_while_a_task_fails_again_and_again(emulator, endpoint):
    pubsub = PubSub(emulator)
    pubsub.subscribe(endpoint.url, delay=0)
    endpoint.when_pushed = lambda message: 500
    pubsub.publish()
    assert set(statuses(emulator.deliver_all(timeout=10))) == {500}


def test_deliver_all_gives_up_on_an_endpoint_that_does_not_answer(emulator, endpoint, pubsub):
    endpoint.open.clear()
    message_id = pubsub.publish("send_receipt", "7")
    with pytest.raises(DeliveryTimeout) as given_up:
        emulator.deliver_all(timeout=0.2)
    assert str(given_up.value) == (
        f"deliver_all() gave up after 0.2 s:\n"
        f"  message {message_id} of task send_receipt (7) for receipts-sub, pushed to "
        f"{endpoint.url}: attempt 1 was sent 0.0 s ago and is not answered"
    )


def test_timeout_is_a_failed_assertion(emulator, endpoint, pubsub):
    endpoint.open.clear()
    pubsub.publish()
    for kind in (AssertionError, TimeoutError):
        with pytest.raises(kind):
            emulator.deliver_all(timeout=0)


def test_timeout_names_a_few_of_many(emulator, endpoint, pubsub):
    endpoint.open.clear()
    for _ in range(7):
        pubsub.publish()
    with pytest.raises(DeliveryTimeout, match="and 2 more"):
        emulator.deliver_all(timeout=0)


async def test_timeout_on_an_event_loop_points_to_the_twin(emulator, endpoint, pubsub):
    endpoint.open.clear()
    pubsub.publish()
    with pytest.raises(DeliveryTimeout, match=r"event loop.*await adeliver_all\(\)"):
        emulator.deliver_all(timeout=0)


# redeliver_last


def test_redeliver_last_pushes_the_same_once_more(emulator, endpoint, pubsub):
    pubsub.publish(task_id="1")
    emulator.deliver_all()
    pubsub.publish(task_id="2")
    emulator.deliver_all()
    delivery = emulator.redeliver_last()
    assert (delivery.task_id, delivery.status, delivery.fault) == ("2", 204, "redelivered")
    _, first, again = endpoint.pushes
    assert first == again


def test_redeliver_last_waits_for_the_answer(emulator, endpoint, pubsub):
    pubsub.publish()
    emulator.deliver_all()
    endpoint.answers = [201, 202]
    endpoint.when_pushed = lambda message: time.sleep(0.1)
    assert [emulator.redeliver_last().status, emulator.redeliver_last().status] == [201, 202]


def test_nothing_follows_from_a_redelivery(emulator, endpoint, pubsub):
    pubsub.publish()
    emulator.deliver_all()
    endpoint.answers = [500]
    assert emulator.redeliver_last().status == 500
    assert emulator.deliver_all() == []
    assert emulator.messages()[0].state == "acknowledged"


@pytest.mark.parametrize("name", [QUEUE, "receipts-sub"])
def test_redeliver_last_of_one_subscription(emulator, endpoint, pubsub, name):
    pubsub.subscribe(endpoint.url, topic=DEAD, name=DEAD_QUEUE)
    pubsub.publish(task_id="1")
    emulator.deliver_all()
    pubsub.publish(task_id="2", topic=DEAD)
    emulator.deliver_all()
    assert emulator.redeliver_last(name).task_id == "1"


def test_redeliver_last_needs_a_push(emulator, pubsub):
    with pytest.raises(EmulatorError, match="no message was pushed yet"):
        emulator.redeliver_last()


def test_redeliver_last_needs_a_message_that_is_remembered(emulator, pubsub):
    pubsub.publish()
    emulator.deliver_all()
    pubsub.call("DELETE", "emulator/messages")
    with pytest.raises(EmulatorError, match="has forgotten message"):
        emulator.redeliver_last()


def test_redeliver_last_gives_up(emulator, endpoint, pubsub):
    pubsub.publish()
    emulator.deliver_all()
    endpoint.open.clear()
    with pytest.raises(DeliveryTimeout, match=r"redeliver_last\(\) gave up after 0 s"):
        emulator.redeliver_last(timeout=0)


# wait_until_settled


def test_wait_until_settled_waits_for_retries(emulator, endpoint):
    pubsub = PubSub(emulator)
    pubsub.subscribe(endpoint.url, delay=10)  # a tenth of a second here
    endpoint.answers = [500, 500]
    pubsub.publish()
    assert statuses(emulator.wait_until_settled()) == [500, 500, 204]
    assert emulator.wait_until_settled() == []


def test_wait_until_settled_waits_for_dead_letters(emulator, endpoint):
    pubsub = PubSub(emulator)
    pubsub.subscribe(None, topic=DEAD, name=DEAD_QUEUE)
    policy = {"deadLetterTopic": DEAD, "maxDeliveryAttempts": 5}
    pubsub.subscribe(endpoint.url, delay=0, deadLetterPolicy=policy)
    emulator.fault("push.fail", status=500)
    pubsub.publish("send_receipt")
    assert statuses(emulator.wait_until_settled()) == [500] * 5
    assert [one.topic for one in emulator.messages(state="dead_lettered")] == [TOPIC]
    assert [one.task for one in emulator.messages(subscription="dead-sub")] == ["send_receipt"]


def test_wait_until_settled_waits_for_a_duplicate(emulator, endpoint, pubsub):
    endpoint.when_pushed = lambda message: time.sleep(0.3 * len(endpoint.pushes))
    emulator.duplicate_next()
    pubsub.publish()
    assert statuses(emulator.wait_until_settled()) == [204, 204]


def test_wait_until_settled_gives_up(emulator, endpoint, pubsub):
    endpoint.answers = [418]
    pubsub.publish()
    until(lambda: emulator.messages(state="waiting"))
    with pytest.raises(DeliveryTimeout, match="waiting after attempt 1: 418"):
        emulator.wait_until_settled(timeout=0.1)


# The clock


def test_clock_brings_retries_when_it_is_advanced(emulator, endpoint, pubsub):
    endpoint.answers = [500]
    pubsub.publish()
    until(lambda: emulator.messages(state="waiting"))
    emulator.clock.advance(LONG * 0.01)
    assert statuses(emulator.wait_until_settled(timeout=5)) == [500, 204]


def test_clock_stands_still_until_it_is_resumed(emulator):
    emulator.clock.freeze()
    frozen = emulator.clock.now()
    time.sleep(0.01)
    assert emulator.clock.now() == frozen
    emulator.clock.advance(60)
    assert emulator.clock.now() - frozen == timedelta(minutes=1)
    emulator.clock.resume()
    until(lambda: emulator.clock.now() > frozen + timedelta(minutes=1))


def test_clock_does_not_go_back(emulator):
    with pytest.raises(EmulatorError, match="advance: -1 is not 0 to "):
        emulator.clock.advance(-1)


# reset


def test_reset_forgets(emulator, pubsub):
    emulator.fail_next()
    pubsub.publish()
    emulator.deliver_all()
    emulator.reset()
    assert emulator.messages() == emulator.deliver_all() == []
    now = emulator.clock.now()
    until(lambda: emulator.clock.now() > now)
    pubsub.create_topic(TOPIC)


# The twins, with an endpoint on the loop of the test


@pytest.fixture
async def endpoint_on_this_loop(emulator):
    async def answer(request):
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pubsub = PubSub(emulator)
    pubsub.subscribe(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    yield pubsub
    await runner.cleanup()


async def test_twins_leave_the_loop_to_the_endpoint(emulator, endpoint_on_this_loop):
    endpoint_on_this_loop.publish()
    assert statuses(await emulator.adeliver_all(timeout=20)) == [204]
    assert (await emulator.aredeliver_last("receipts-sub", timeout=20)).status == 204
    endpoint_on_this_loop.publish()
    assert statuses(await emulator.await_until_settled(timeout=20)) == [204]


async def test_twins_give_up_alike(emulator, endpoint, pubsub):
    pubsub.publish()
    await emulator.adeliver_all()
    endpoint.open.clear()
    pubsub.publish()
    for twin in (emulator.adeliver_all, emulator.await_until_settled, emulator.aredeliver_last):
        with pytest.raises(DeliveryTimeout, match=r"is not answered$"):
            await twin(timeout=0)


# Another object for the same emulator


def test_emulator_that_runs_already_is_found_by_url_or_host(emulator, pubsub):
    pubsub.publish()
    emulator.wait_until_settled()
    for name in (emulator.url, f"{emulator.url}/", emulator.host):
        other = Emulator(name)
        assert (other.url, other.host) == (emulator.url, emulator.host)
        assert statuses(other.deliver_all()) == [204]
