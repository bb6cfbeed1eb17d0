"""What the broker ought to do, written down once more: plain lists, searched from end to end."""

from collections import Counter
from dataclasses import dataclass, field

from asgi_tasks.emulator.broker.model import Subscription

SOURCE = "CloudPubSubDeadLetterSourceSubscription"
GONE = "_deleted-topic_"


@dataclass(kw_only=True)
class Copy:
    """One message for one subscription, known by its serial and where it was a dead letter of."""

    serial: str
    source: str
    kind: str
    key: str
    published_at: float
    due: float
    number: int | None = None  # its message id, once the broker has told it
    state: str = "waiting"
    attempts: int = 0
    counted: int = 0
    ack_id: str | None = None
    until: float | None = None


@dataclass(kw_only=True)
class Sub:
    settings: Subscription
    used_at: float
    copies: list[Copy] = field(default_factory=list)  # unfinished
    totals: Counter = field(default_factory=Counter)

    def outstanding(self):
        return [copy for copy in self.copies if copy.state == "outstanding"]

    def first_of_its_key(self, copy):
        keyed = [other for other in self.copies if other.key == copy.key]
        return copy is min(keyed, key=lambda other: other.number)

    def deliverable(self, now):
        ordered = self.settings.ordered
        return [
            copy
            for copy in self.copies
            if copy.state == "waiting" and copy.due <= now
            if not (ordered and copy.key) or self.first_of_its_key(copy)
        ]


class Model:
    def __init__(self, now, *, enforce_iam):
        self.now = now
        self.enforce_iam = enforce_iam
        self.topics = set()
        self.subs = {}
        self.granted = set()  # topics and subscriptions whose policy lets Pub/Sub forward
        self.finished = {}  # (subscription, serial, source) -> state, for ever

    def publish(self, topic, serial, kind, key, source=""):
        for name, sub in self.subs.items():
            if sub.settings.topic == topic:
                copy = Copy(
                    serial=serial,
                    source=source,
                    kind=kind,
                    key=key,
                    published_at=self.now,
                    due=self.now,
                )
                sub.copies.append(copy)
                if sub.settings.filter and not sub.settings.filter({"kind": kind}):
                    self.finish(name, copy, "acknowledged")

    def delivered(self, name, number, ack_id, until):
        """The broker says it did; returns the message, if it may be."""
        sub = self.subs[name]
        [copy] = [copy for copy in sub.deliverable(self.now) if copy.number == number]
        copy.state, copy.ack_id, copy.until = "outstanding", ack_id, until
        copy.attempts += 1
        copy.counted += self.counts(sub)
        return copy

    def out(self):
        return {
            (name, copy.ack_id): copy
            for name, sub in self.subs.items()
            for copy in sub.copies
            if copy.state == "outstanding"
        }

    def acknowledge(self, name, ack_id):
        copy = self.out().get((name, ack_id))
        if copy is None:
            return False
        sub = self.subs[name]
        if sub.settings.push:
            sub.used_at = self.now
        self.finish(name, copy, "acknowledged")
        return True

    def nack(self, name, ack_id):
        copy = self.out().get((name, ack_id))
        if copy is None:
            return False
        settings = self.subs[name].settings
        policy = settings.dead_letter
        spent = policy and copy.counted >= policy.max_delivery_attempts
        if spent and policy.topic in self.topics and self.counts(self.subs[name]):
            self.finish(name, copy, "dead_lettered")
            source = name.rpartition("/")[2]
            self.publish(policy.topic, copy.serial, copy.kind, copy.key, source)
        else:
            wait = 0.0
            if settings.retry:
                doubled = settings.retry.minimum_backoff * 2 ** (copy.attempts - 1)
                wait = min(doubled, settings.retry.maximum_backoff)
            copy.state, copy.ack_id, copy.until = "waiting", None, None
            copy.due = self.now + wait
        return True

    def catch_up(self):
        """Leases end before messages, and messages before subscriptions."""
        for (name, ack_id), copy in self.out().items():
            if copy.until is not None and copy.until <= self.now:
                self.nack(name, ack_id)
        for name, sub in list(self.subs.items()):
            for copy in list(sub.copies):
                if copy.published_at + sub.settings.retention <= self.now:
                    self.finish(name, copy, "expired")
            ttl = sub.settings.idle_ttl
            if ttl is not None and sub.used_at + ttl <= self.now:
                self.delete_subscription(name)

    def next_event(self):
        """When time brings something next: a lease ends, a message or a subscription expires."""
        times = [float("inf")]
        for sub in self.subs.values():
            times += [copy.until for copy in sub.outstanding() if copy.until is not None]
            times += [copy.published_at + sub.settings.retention for copy in sub.copies]
            if sub.settings.idle_ttl is not None:
                times.append(sub.used_at + sub.settings.idle_ttl)
        return min(times)

    def delete_subscription(self, name):
        del self.subs[name]
        self.granted.discard(name)

    def delete_topic(self, name):
        self.topics.discard(name)
        self.granted.discard(name)

    def counts(self, sub):
        policy = sub.settings.dead_letter
        if policy is None:
            return False
        return not self.enforce_iam or {sub.settings.name, policy.topic} <= self.granted

    def finish(self, name, copy, state):
        sub = self.subs[name]
        sub.copies.remove(copy)
        sub.totals[state] += 1
        self.finished[name, copy.serial, copy.source] = state

    def states(self):
        unfinished = {
            (name, copy.serial, copy.source): copy.state
            for name, sub in self.subs.items()
            for copy in sub.copies
        }
        assert not unfinished.keys() & self.finished.keys()
        return unfinished | self.finished
