"""
Whatever happens in whatever order, no message is lost, doubled or settled twice, and nobody sleeps
through a push. BROKER_MACHINE_EXAMPLES=2000 looks longer.
"""

import os
from collections import Counter
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.iam import Binding
from asgi_tasks.emulator.broker.model import (
    DAY,
    DELETED_TOPIC,
    DeadLetterPolicy,
    Draft,
    PushTarget,
    RetryPolicy,
    Subscription,
    Timing,
    Topic,
)
from asgi_tasks.emulator.errors import AlreadyExists, NotFound
from tests.unit.emulator.broker_model import SOURCE, Model, Sub

TOPIC, DEAD = TOPICS = [f"projects/p/topics/{name}" for name in ("tasks", "dead")]
ONE, TWO, DEAD_SUB = NAMES = [f"projects/p/subscriptions/{name}" for name in ("one", "two", "dead")]
AGENT = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"
GRANTS = [Binding(role="roles/pubsub.editor", members=(AGENT,))]
# No retry, push pause or lease here is longer than 60 s; one may follow the other.
PATIENCE = 300.0

names = st.sampled_from(NAMES)
answers = st.lists(st.sampled_from(["bad", "good", "later"]), min_size=1, max_size=8)
batches = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", ""])), max_size=4)
lease_times = st.sampled_from([None, 10.0, 60.0])
changeable = st.fixed_dictionaries(
    {
        "push": st.sampled_from([PushTarget(endpoint="http://localhost/"), None]),
        "retry": st.sampled_from([None, RetryPolicy(minimum_backoff=5, maximum_backoff=60)]),
        "dead_letter": st.sampled_from(
            [DeadLetterPolicy(topic=DEAD, max_delivery_attempts=n) for n in (1, 2)] + [None]
        ),
        "retention": st.sampled_from([600.0, 7 * DAY]),
        "idle_ttl": st.sampled_from([None, DAY]),
        "ack_deadline": st.sampled_from([10, 30]),
    }
)


def is_a(attributes):
    return attributes["kind"] == "a"


class BrokerMachine(RuleBasedStateMachine):
    @initialize(
        enforce_iam=st.booleans(),
        granted=st.booleans(),
        ordered=st.booleans(),
        others=changeable,
    )
    def start(self, enforce_iam, granted, ordered, others):
        self.now = 1_000.0
        self.serial = 0
        self.spent = []  # (subscription, ack id) of deliveries that ended
        self.handed_out = set()
        self.rung, self.sleeps_until = False, float("inf")
        self.model = Model(self.now, enforce_iam=enforce_iam)
        self.broker = Broker(
            clock=lambda: self.now,
            timing=Timing(push_window=2),
            enforce_iam=enforce_iam,
            on_change=self.ring,
        )
        for topic in TOPICS:
            self.create_topic(topic)
        for name in NAMES:
            self.create_subscription(name, ordered, None, others)
        if granted:
            self.grant(None)

    def ring(self):
        self.rung = True

    # Topics and subscriptions

    @rule(name=st.sampled_from(TOPICS))
    def create_topic(self, name):
        if name in self.model.topics:
            with pytest.raises(AlreadyExists):
                self.broker.create_topic(Topic(name=name))
        else:
            self.broker.create_topic(Topic(name=name))
            self.model.topics.add(name)

    @rule(name=st.sampled_from(TOPICS))
    def delete_topic(self, name):
        self.model.catch_up()
        if name not in self.model.topics:
            with pytest.raises(NotFound):
                self.broker.delete_topic(name)
            return
        self.broker.delete_topic(name)
        self.model.delete_topic(name)
        for sub in self.model.subs.values():
            if sub.settings.topic == name:
                sub.settings = replace(sub.settings, topic=DELETED_TOPIC)

    @rule(
        name=names, ordered=st.booleans(), wanted=st.sampled_from([None, is_a]), others=changeable
    )
    def create_subscription(self, name, ordered, wanted, others):
        topic = TOPIC
        if name == DEAD_SUB:
            topic, others = DEAD, {**others, "dead_letter": None}
        new = Subscription(name=name, topic=topic, ordered=ordered, filter=wanted, **others)
        self.model.catch_up()
        if name in self.model.subs:
            with pytest.raises(AlreadyExists):
                self.broker.create_subscription(new)
        elif not self.has_its_topics(new):
            with pytest.raises(NotFound):
                self.broker.create_subscription(new)
        else:
            self.broker.create_subscription(new)
            self.model.subs[name] = Sub(settings=new, used_at=self.now)

    @precondition(lambda self: self.model.subs)
    @rule(data=st.data(), others=changeable)
    def replace_subscription(self, data, others):
        name = data.draw(st.sampled_from(sorted(self.model.subs)))
        self.model.catch_up()
        sub = self.model.subs.get(name)
        if sub is None:
            new = Subscription(name=name, topic=TOPIC, **others)
        else:
            if name == DEAD_SUB or DEAD not in self.model.topics:
                others = {**others, "dead_letter": sub.settings.dead_letter}
            new = replace(sub.settings, **others)
            sub.settings, sub.used_at = new, self.now
        moved = replace(new, topic="projects/p/topics/another")
        self.unless_gone(name, lambda: self.broker.replace_subscription(moved))

    @precondition(lambda self: self.model.subs)
    @rule(data=st.data())
    def delete_subscription(self, data):
        name = data.draw(st.sampled_from(sorted(self.model.subs)))
        self.model.catch_up()
        self.unless_gone(name, lambda: self.broker.delete_subscription(name))
        if name in self.model.subs:
            self.model.delete_subscription(name)

    @precondition(lambda self: self.model.enforce_iam)
    @rule(but_not=st.sampled_from([None, DEAD, *NAMES]))
    def grant(self, but_not):
        for resource in self.model.topics | self.model.subs.keys():
            granted = resource != but_not
            self.broker.policies.set(resource, GRANTS if granted else [])
            (self.model.granted.add if granted else self.model.granted.discard)(resource)

    # Messages

    @rule(topic=st.sampled_from(TOPICS), messages=batches)
    def publish(self, topic, messages):
        self.model.catch_up()
        if topic not in self.model.topics:
            with pytest.raises(NotFound):
                self.broker.publish(topic, [])
            return
        drafts = []
        for kind, key in messages:
            self.serial += 1
            attributes = {"serial": str(self.serial), "kind": kind}
            drafts.append(Draft(data=b"x", attributes=attributes, ordering_key=key))
            self.model.publish(topic, str(self.serial), kind, key)
        assert len(set(self.broker.publish(topic, drafts))) == len(drafts)

    @precondition(lambda self: self.model.subs)
    @rule(data=st.data(), messages=batches, seconds=lease_times, answers=answers)
    def lease(self, data, messages, seconds, answers):
        name, limit = data.draw(st.sampled_from(sorted(self.model.subs))), len(answers)
        if messages:
            self.publish(TOPIC, messages)
        self.model.catch_up()
        leases = self.unless_gone(name, lambda: self.broker.lease(name, limit, seconds=seconds))
        self.learn_ids()
        if leases is not None:
            self.model.subs[name].used_at = self.now
            self.note(name, leases, None if seconds is None else self.now + seconds)
            assert len(leases) <= limit
            assert len(leases) == limit or not self.model.subs[name].deliverable(self.now)
            self.answer([(name, lease.ack_id) for lease in leases], answers)

    @rule(messages=batches, seconds=st.sampled_from([0.1, 0.0, 60.0]), answers=answers)
    def push(self, messages, seconds, answers):
        self.publish(TOPIC, messages)
        self.advance(self.now + seconds)
        pushes = self.due_pushes()
        self.answer([(subscription.name, lease.ack_id) for subscription, lease in pushes], answers)

    def due_pushes(self):
        """As the pusher does, whenever it is rung for or has slept enough."""
        self.model.catch_up()
        self.rung = False
        pushes = self.broker.due_pushes()
        self.learn_ids()
        for subscription, lease in pushes:
            assert subscription.push
            self.note(subscription.name, [lease], None)
        for name, sub in self.model.subs.items():
            flow, outstanding = self.broker.queue(name).flow, len(sub.outstanding())
            if any(subscription.name == name for subscription, _ in pushes):
                assert outstanding <= flow.window
            if sub.settings.push and flow.paused_until <= self.now and outstanding < flow.window:
                assert not sub.deliverable(self.now)
        self.sleeps_until = self.next_wake()
        assert self.sleeps_until > self.now
        return pushes

    @precondition(lambda self: self.model.out())
    @rule(answers=answers)
    def answer_late(self, answers):
        outstanding = sorted(self.model.out())
        self.model.catch_up()
        self.answer(outstanding, answers)

    def answer(self, deliveries, answers):
        for (name, ack_id), answer in zip(deliveries, answers, strict=False):
            if answer == "good":
                known = self.model.acknowledge(name, ack_id)
                assert self.broker.acknowledge(name, ack_id) == known
            elif answer == "bad":
                known = self.model.nack(name, ack_id)
                assert self.broker.nack(name, ack_id) == known
            if answer != "later":
                self.spent.append((name, ack_id))

    @precondition(lambda self: self.spent)
    @rule(data=st.data(), good=st.booleans())
    def answer_again(self, data, good):
        name, ack_id = data.draw(st.sampled_from(self.spent))
        self.model.catch_up()
        assert not (self.broker.acknowledge if good else self.broker.nack)(name, ack_id)

    @precondition(lambda self: self.model.out())
    @rule(data=st.data(), seconds=st.sampled_from([1.0, 60.0]))
    def extend(self, data, seconds):
        name, ack_id = data.draw(st.sampled_from(sorted(self.model.out())))
        self.model.catch_up()
        self.unless_gone(name, lambda: self.broker.extend(name, ack_id, seconds))
        copy = self.model.out().get((name, ack_id))
        if copy is not None and copy.until is not None:
            copy.until = self.now + seconds

    @precondition(lambda self: self.model.out())
    @rule(data=st.data())
    def let_expire(self, data):
        name, ack_id = data.draw(st.sampled_from(sorted(self.model.out())))
        self.model.catch_up()
        self.broker.let_expire(name, ack_id)
        copy = self.model.out().get((name, ack_id))
        if copy is not None:
            copy.until = self.now + self.model.subs[name].settings.ack_deadline

    @rule(name=st.sampled_from([None, *NAMES]))
    def make_due(self, name):
        self.model.catch_up()
        self.unless_gone(name, lambda: self.broker.make_due(name))
        for other, sub in self.model.subs.items():
            if name in (None, other):
                assert self.broker.queue(other).flow.paused_until <= self.now
                for copy in sub.copies:
                    copy.due = min(copy.due, self.now)

    # Time

    @rule(seconds=st.sampled_from([0.05, 1.0, 10.0, 60.0]))
    def wait(self, seconds):
        self.advance(self.now + seconds)

    @rule(seconds=st.sampled_from([600.0, DAY, 8 * DAY]))
    def wait_long(self, seconds):
        self.advance(self.now + seconds)

    @rule()
    def sleep(self):
        """Until the next thing happens by itself."""
        wake = self.broker.next_wake()
        if wake is not None:
            self.advance(max(wake, self.now))

    def advance(self, to):
        self.now = self.model.now = to
        self.model.catch_up()
        self.broker.catch_up()

    @rule()
    def everything_is_pushed_in_the_end(self):
        """Whoever acknowledges every push and sleeps until the next wake has them all."""
        give_up_at = self.now + PATIENCE
        self.acknowledge_pushes()
        while True:
            pushes = self.due_pushes()
            self.acknowledge_pushes()
            if not pushes and not self.rung:
                if self.sleeps_until > give_up_at:
                    break
                self.advance(self.sleeps_until)
        for sub in self.model.subs.values():
            assert not sub.settings.push or not sub.copies

    def acknowledge_pushes(self):
        for name, ack_id in self.model.out():
            if self.model.subs[name].settings.push:
                assert self.broker.acknowledge(name, ack_id)
                self.model.acknowledge(name, ack_id)

    def teardown(self):
        if hasattr(self, "model"):
            self.everything_is_pushed_in_the_end()

    # What holds at any time

    @invariant()
    def every_message_is_in_exactly_one_place(self):
        self.model.catch_up()
        self.broker.catch_up()
        self.learn_ids()
        assert {identity(entry): entry.state for entry in self.entries} == self.model.states()
        assert len(self.entries) == len(self.model.states())

    @invariant()
    def queues_are_as_they_ought_to_be(self):
        names = [subscription.name for subscription in self.broker.subscriptions()]
        assert names == sorted(self.model.subs)
        for name, sub in self.model.subs.items():
            queue, out = self.broker.queue(name), len(sub.outstanding())
            assert queue.subscription == sub.settings
            assert (queue.outstanding, queue.waiting) == (out, len(sub.copies) - out)
            assert +queue_totals(queue) == sub.totals
            assert queue.used_at == sub.used_at
            if not sub.settings.ordered:
                waiting = [copy.due for copy in sub.copies if copy.state == "waiting"]
                assert queue.next_due() == min(waiting, default=None)

    @invariant()
    def policies_go_with_what_they_are_of(self):
        policies = self.broker.policies
        assert {name for name in [*TOPICS, *NAMES] if policies.get(name).bindings} == (
            self.model.granted
        )

    @invariant()
    def one_message_of_a_key_is_out(self):
        for sub in self.model.subs.values():
            keys = [copy.key for copy in sub.outstanding() if copy.key]
            assert not sub.settings.ordered or len(keys) == len(set(keys))

    @invariant()
    def nobody_sleeps_too_long(self):
        wake = self.next_wake()
        assert wake <= self.model.next_event()
        asleep = not self.rung and self.now < self.sleeps_until
        assert not asleep or wake >= self.sleeps_until
        self.rung, self.sleeps_until = False, wake

    # Helpers

    def next_wake(self):
        wake = self.broker.next_wake()
        return float("inf") if wake is None else wake

    def learn_ids(self):
        """The order in which the broker published is its own to choose."""
        self.entries = self.broker.entries()
        ids = {identity(entry): int(entry.message.message_id) for entry in self.entries}
        for name, sub in self.model.subs.items():
            for copy in sub.copies:
                copy.number = ids[name, copy.serial, copy.source]

    def note(self, name, leases, until):
        for lease in leases:
            assert (name, lease.ack_id) not in self.handed_out
            self.handed_out.add((name, lease.ack_id))
            number = int(lease.message.message_id)
            copy = self.model.delivered(name, number, lease.ack_id, until)
            assert lease.message.attributes["serial"] == copy.serial
            assert (lease.attempt, lease.counted) == (copy.attempts, max(1, copy.counted))
            assert lease.message.data == b"x"

    def unless_gone(self, name, call):
        if name is None or name in self.model.subs:
            return call()
        with pytest.raises(NotFound):
            call()
        return None

    def has_its_topics(self, subscription):
        policy = subscription.dead_letter
        needed = {subscription.topic} | ({policy.topic} if policy else set())
        return needed <= self.model.topics


def identity(entry):
    attributes = entry.message.attributes
    return entry.subscription, attributes["serial"], attributes.get(SOURCE, "")


def queue_totals(queue):
    return Counter({state.value: number for state, number in queue.totals.items()})


TestBrokerMachine = BrokerMachine.TestCase
TestBrokerMachine.settings = settings(
    max_examples=int(os.environ.get("BROKER_MACHINE_EXAMPLES", "500")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
