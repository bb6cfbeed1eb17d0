"""Whatever happens in whatever order, no message is lost, doubled or settled twice."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_tasks.emulator.broker import Broker
from asgi_tasks.emulator.model import DeadLetterPolicy, Draft, RetryPolicy, Subscription, Topic

TOPIC, DEAD = "projects/p/topics/tasks", "projects/p/topics/dead"
PLAIN, BACKED_OFF, LETTERED, DEAD_SUB = (
    f"projects/p/subscriptions/{name}" for name in ("plain", "backed-off", "lettered", "dead-sub")
)
NAMES = st.sampled_from([PLAIN, BACKED_OFF, LETTERED, DEAD_SUB])
RETRY = RetryPolicy(minimum_backoff=10, maximum_backoff=60)


class BrokerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now = 1_000.0
        self.broker = Broker(clock=lambda: self.now)
        self.expected = Counter()  # subscription -> messages it was ever given
        self.out = {}  # (subscription, ack id) -> until when, None for ever
        self.acknowledged = Counter()  # (subscription, message id)

    @initialize()
    def subscribe(self):
        for topic in (TOPIC, DEAD):
            self.broker.create_topic(Topic(name=topic))
        policy = DeadLetterPolicy(topic=DEAD, max_delivery_attempts=5)
        for subscription in (
            Subscription(name=PLAIN, topic=TOPIC),
            Subscription(name=BACKED_OFF, topic=TOPIC, retry=RETRY),
            Subscription(name=LETTERED, topic=TOPIC, dead_letter=policy),
            Subscription(name=DEAD_SUB, topic=DEAD),
        ):
            self.broker.create_subscription(subscription)

    @rule(count=st.integers(1, 4))
    def publish(self, count):
        self.broker.publish(TOPIC, [Draft(data=b"x")] * count)
        for name in (PLAIN, BACKED_OFF, LETTERED):
            self.expected[name] += count

    @rule(name=NAMES, limit=st.integers(1, 5), seconds=st.sampled_from([None, 10, 30]))
    def lease(self, name, limit, seconds):
        self.broker.expire()
        for lease in self.broker.lease(name, limit, seconds=seconds):
            assert (name, lease.ack_id) not in self.out
            self.out[name, lease.ack_id] = None if seconds is None else self.now + seconds

    @precondition(lambda self: self.out)
    @rule(data=st.data(), good=st.booleans())
    def settle(self, data, good):
        name, ack_id = data.draw(st.sampled_from(sorted(self.out)))
        until = self.out.pop((name, ack_id))
        self.broker.expire()
        settled = (self.broker.acknowledge if good else self.broker.nack)(name, ack_id)
        assert settled == (until is None or until > self.now)
        if settled and good:
            self.acknowledged[name, ack_id.partition("-")[0]] += 1
        assert not self.broker.acknowledge(name, ack_id)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), seconds=st.sampled_from([10, 60]))
    def extend(self, data, seconds):
        name, ack_id = data.draw(st.sampled_from(sorted(self.out)))
        self.broker.expire()
        self.broker.extend(name, ack_id, seconds)
        until = self.out[name, ack_id]
        if until is not None and until > self.now:
            self.out[name, ack_id] = self.now + seconds

    @rule(seconds=st.sampled_from([0.5, 10, 100]))
    def wait(self, seconds):
        self.now += seconds
        self.broker.expire()

    @rule()
    def change_settings(self):
        self.broker.replace_subscription(
            Subscription(name=BACKED_OFF, topic=TOPIC, retry=RETRY, ack_deadline=20)
        )

    @invariant()
    def every_message_is_in_exactly_one_place(self):
        record = self.broker.record()
        places = Counter((entry.subscription, entry.message.message_id) for entry in record)
        assert set(places.values()) <= {1}
        given_to = Counter(entry.subscription for entry in record)
        dead = [entry for entry in record if entry.state == "dead_lettered"]
        assert given_to == +(self.expected + Counter({DEAD_SUB: len(dead)}))

    @invariant()
    def what_is_out_is_outstanding(self):
        out = {key for key, until in self.out.items() if until is None or until > self.now}
        outstanding = {
            (entry.subscription, entry.ack_id)
            for entry in self.broker.record()
            if entry.state == "outstanding"
        }
        assert outstanding == out

    @invariant()
    def what_was_acknowledged_stays_so(self):
        acknowledged = {
            (entry.subscription, entry.message.message_id): 1
            for entry in self.broker.record()
            if entry.state == "acknowledged"
        }
        assert self.acknowledged == acknowledged

    @invariant()
    def only_spent_messages_are_dead_letters(self):
        dead = [entry for entry in self.broker.record() if entry.state == "dead_lettered"]
        assert {entry.subscription for entry in dead} <= {LETTERED}
        assert {entry.attempts for entry in dead} <= {5}


TestBrokerMachine = BrokerMachine.TestCase
TestBrokerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
