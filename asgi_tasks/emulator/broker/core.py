"""Topics, subscriptions and their messages: everything that happens to them happens here."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count

from asgi_tasks.emulator.broker.dead_letters import dead_letter
from asgi_tasks.emulator.broker.iam import IamPolicies
from asgi_tasks.emulator.broker.model import (
    DELETED_TOPIC,
    Delivery,
    Draft,
    Entry,
    Lease,
    Message,
    State,
    Subscription,
    Timing,
    Topic,
)
from asgi_tasks.emulator.broker.queue import SubscriptionQueue
from asgi_tasks.emulator.broker.record import Record
from asgi_tasks.emulator.broker.timers import Timers
from asgi_tasks.emulator.errors import AlreadyExists, NotFound

AS_GOOGLE = Timing()


class Broker:
    """
    Every call but those that only read begins by doing what time has brought since the last one:
    leases end, messages and subscriptions expire. Who wants to hear of changes passes
    ``on_change``.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        timing: Timing = AS_GOOGLE,
        enforce_iam: bool = False,
        on_change: Callable[[], None] = lambda: None,
        record: Record | None = None,
    ) -> None:
        self.policies = IamPolicies()
        self.record = record or Record()
        self._clock = clock
        self._timing = timing
        self._enforce_iam = enforce_iam
        self._on_change = on_change
        # Ids start at the clock's microseconds, so that a restart does not repeat them.
        self._ids = count(int(clock() * 1_000_000))
        self._topics: dict[str, Topic] = {}
        self._queues: dict[str, SubscriptionQueue] = {}
        self._changed: dict[str, None] = {}  # subscriptions that may have something to push
        self._timers = Timers()

    @property
    def time_factor(self) -> float:
        """What multiplies delays."""
        return self._timing.factor

    def reset(self) -> None:
        """Forget everything but which message ids were given out."""
        self.policies.clear()
        self.record.clear()
        self._topics.clear()
        self._queues.clear()
        self._timers = Timers()
        self._on_change()

    # Topics

    def create_topic(self, topic: Topic) -> None:
        if topic.name in self._topics:
            raise AlreadyExists(topic.name)
        self._topics[topic.name] = topic

    def topic(self, name: str) -> Topic:
        try:
            return self._topics[name]
        except KeyError:
            raise NotFound(name) from None

    def topics(self, project: str | None = None) -> list[Topic]:
        return _sorted(self._topics.values(), project)

    def replace_topic(self, topic: Topic) -> None:
        self.topic(topic.name)
        self._topics[topic.name] = topic

    def delete_topic(self, name: str) -> None:
        self.catch_up()
        self.topic(name)
        del self._topics[name]
        self.policies.forget(name)
        for queue in self._queues_of(name):
            queue.move_to(DELETED_TOPIC)

    def publish(self, topic: str, drafts: Iterable[Draft]) -> list[str]:
        self.topic(topic)
        self.catch_up()
        return self._publish(topic, drafts)

    # Subscriptions

    def create_subscription(self, subscription: Subscription) -> None:
        self.catch_up()
        if subscription.name in self._queues:
            raise AlreadyExists(subscription.name)
        self.topic(subscription.topic)
        self._require_dead_letter_topic(subscription)
        queue = SubscriptionQueue(
            subscription, clock=self._clock, timing=self._timing, counts=self._counts_attempts
        )
        self._queues[subscription.name] = queue
        self._stir(queue)

    def subscription(self, name: str) -> Subscription:
        return self.queue(name).subscription

    def subscriptions(self, project: str | None = None) -> list[Subscription]:
        return _sorted((queue.subscription for queue in self._queues.values()), project)

    def subscriptions_of(self, topic: str) -> list[Subscription]:
        self.topic(topic)
        return _sorted(queue.subscription for queue in self._queues_of(topic))

    def queue(self, name: str) -> SubscriptionQueue:
        try:
            return self._queues[name]
        except KeyError:
            raise NotFound(name) from None

    def replace_subscription(self, subscription: Subscription) -> None:
        """Give a subscription new settings; its topic and its messages stay."""
        self.catch_up()
        queue = self.queue(subscription.name)
        if subscription.dead_letter != queue.subscription.dead_letter:
            self._require_dead_letter_topic(subscription)
        if subscription.push != queue.subscription.push:
            queue.flow.resume()  # another endpoint has not failed yet
        queue.subscription = replace(subscription, topic=queue.subscription.topic)
        queue.used_at = self._clock()
        self._stir(queue)

    def delete_subscription(self, name: str) -> None:
        self.catch_up()
        self.queue(name)
        self._delete(name)

    # Deliveries

    def lease(self, name: str, limit: int, *, seconds: float | None = None) -> list[Lease]:
        """Hand out due messages; without seconds they stay out until settled."""
        self.catch_up()
        queue = self.queue(name)
        queue.used_at = self._clock()
        leases = queue.lease(limit, seconds)
        if leases:
            self._stir(queue)
        return leases

    def due_pushes(self) -> list[tuple[Subscription, Lease]]:
        """Hand out whatever is to be pushed now; each stays out until settled."""
        self.catch_up()
        pushes: list[tuple[Subscription, Lease]] = []
        changed, self._changed = self._changed, {}
        for queue in filter(None, map(self._queues.get, changed)):
            leases = queue.lease_pushes()
            pushes += [(queue.subscription, lease) for lease in leases]
            if leases:
                self.record.pushed(leases[-1])
            self._timers.set(queue.subscription.name, queue.next_wake())
        return pushes

    def extend(self, name: str, ack_id: str, seconds: float) -> None:
        self.catch_up()
        queue = self.queue(name)
        queue.extend(ack_id, seconds)
        self._stir(queue)

    def is_out(self, name: str, ack_id: str) -> bool:
        """Whether that delivery is still to be settled."""
        queue = self._queues.get(name)
        return queue is not None and queue.has_leased(ack_id)

    def let_expire(self, name: str, ack_id: str) -> None:
        """Leave a push to its ack deadline: nobody will settle it."""
        self.catch_up()
        queue = self._queues.get(name)
        if queue is not None:
            queue.let_expire(ack_id)
            self._stir(queue)

    def acknowledge(self, name: str, ack_id: str, *, status: int | None = None) -> bool:
        """End a delivery well; False when it had ended already."""
        self.catch_up()
        queue = self._queues.get(name)
        lease = queue.settle(ack_id, good=True, status=status) if queue else None
        if queue is None or lease is None:
            return False
        self.record.deliveries.append((lease.entry, lease.delivery))
        self._finish(queue, lease.entry, State.ACKNOWLEDGED)
        return True

    def nack(
        self, name: str, ack_id: str, *, status: int | None = None, error: str | None = None
    ) -> bool:
        """End a delivery badly: the message is redelivered, or forwarded as a dead letter."""
        self.catch_up()
        return self._nack(name, ack_id, status, error)

    def add_delivery(self, lease: Lease, fault: str) -> Delivery:
        """A delivery beside those the broker counts, and without consequence; end it."""
        return lease.entry.note(Delivery(attempt=lease.attempt, sent_at=self._clock(), fault=fault))

    def end_delivery(
        self, lease: Lease, delivery: Delivery, *, status: int | None, error: str | None
    ) -> None:
        delivery.end(self._clock(), status=status, error=error)
        self.record.deliveries.append((lease.entry, delivery))
        self._on_change()

    def make_due(self, name: str | None = None, *, retries: bool = True) -> None:
        """
        Forget every delay of redelivery, of one subscription or of all; without retries, push
        backoff alone.
        """
        self.catch_up()
        for queue in self._queues.values() if name is None else [self.queue(name)]:
            if retries:
                queue.make_due()
            queue.flow.resume()
            self._stir(queue)

    def catch_up(self) -> None:
        """Do what time has brought."""
        for name in self._timers.due(self._clock()):
            queue = self._queues.get(name)
            if queue is not None:
                self._end_leases(queue)
                self._drop_outdated(queue)
                if queue.idle():
                    self._delete(name)
                else:
                    self._stir(queue)

    def time_jumped(self) -> None:
        """Who waits for a time has to look at the clock again."""
        self.catch_up()
        self._on_change()

    def next_wake(self) -> float | None:
        """When there is something to do without anybody asking."""
        return self._timers.next()

    def entries(self, *, topic: str | None = None, subscription: str | None = None) -> list[Entry]:
        """Every message for every subscription, oldest first; of the finished, what is kept."""
        return sorted(
            (
                entry
                for entry in self._entries()
                if topic in (None, entry.message.topic)
                and subscription in (None, entry.subscription)
            ),
            key=lambda entry: (int(entry.message.message_id), entry.subscription),
        )

    def unfinished(self, subscription: str | None = None) -> list[Entry]:
        if subscription is not None:
            return list(self.queue(subscription))
        return [entry for queue in self._queues.values() for entry in queue]

    def _entries(self) -> Iterator[Entry]:
        yield from self.record.finished
        for queue in self._queues.values():
            yield from queue

    def _end_leases(self, queue: SubscriptionQueue) -> None:
        for ack_id in queue.expired():
            self._nack(queue.subscription.name, ack_id, None, "the ack deadline passed")

    def _drop_outdated(self, queue: SubscriptionQueue) -> None:
        while (entry := queue.outdated()) is not None:
            self._finish(queue, entry, State.EXPIRED)

    def _nack(self, name: str, ack_id: str, status: int | None, error: str | None) -> bool:
        queue = self._queues.get(name)
        lease = queue.settle(ack_id, good=False, status=status, error=error) if queue else None
        if queue is None or lease is None:
            return False
        self.record.deliveries.append((lease.entry, lease.delivery))
        if not (queue.exhausted(lease.entry) and self._forward(queue, lease.entry)):
            queue.retry(lease.entry)
            self._stir(queue)
        return True

    def _stir(self, queue: SubscriptionQueue) -> None:
        """Something changed there: it may have pushes now, and another time to wake at."""
        name = queue.subscription.name
        self._changed[name] = None
        self._timers.set(name, queue.next_wake())
        self._on_change()

    def _delete(self, name: str) -> None:
        del self._queues[name]
        self._timers.set(name, None)
        self.policies.forget(name)
        self.record.forget(name)

    def _publish(self, topic: str, drafts: Iterable[Draft]) -> list[str]:
        messages = [self._message(topic, draft) for draft in drafts]
        for queue in self._queues_of(topic):
            for message in messages:
                self._accept(queue, message)
            self._stir(queue)
        return [message.message_id for message in messages]

    def _accept(self, queue: SubscriptionQueue, message: Message) -> None:
        """What a filter keeps out counts as acknowledged, as with Google."""
        wanted = queue.subscription.filter
        if wanted is None or wanted(message.attributes):
            queue.add(message)
        else:
            self.record.finish(queue.skip(message))

    def _finish(self, queue: SubscriptionQueue, entry: Entry, state: State) -> None:
        queue.finish(entry, state)
        self.record.finish(entry)
        self._stir(queue)

    def _queues_of(self, topic: str) -> list[SubscriptionQueue]:
        return [queue for queue in self._queues.values() if queue.subscription.topic == topic]

    def _require_dead_letter_topic(self, subscription: Subscription) -> None:
        if subscription.dead_letter is not None:
            self.topic(subscription.dead_letter.topic)

    def _counts_attempts(self, subscription: Subscription) -> bool:
        """Without both its roles, Google's service agent neither counts nor forwards."""
        policy = subscription.dead_letter
        if policy is None:
            return False
        return not self._enforce_iam or self.policies.may_forward(subscription.name, policy.topic)

    def _message(self, topic: str, draft: Draft) -> Message:
        return Message(
            message_id=str(next(self._ids)),
            topic=topic,
            published_at=self._clock(),
            data=draft.data,
            attributes=draft.attributes,
            ordering_key=draft.ordering_key,
        )

    def _forward(self, queue: SubscriptionQueue, entry: Entry) -> bool:
        """Publish a dead letter; without topic or permission the message stays where it is."""
        policy = queue.subscription.dead_letter
        if policy is None or policy.topic not in self._topics:
            return False
        if not self._counts_attempts(queue.subscription):
            return False
        draft = dead_letter(entry)
        self._finish(queue, entry, State.DEAD_LETTERED)
        self.record.dead_letters.append(entry)
        self._publish(policy.topic, [draft])
        return True


def _sorted[T: (Topic, Subscription)](found: Iterable[T], project: str | None = None) -> list[T]:
    prefix = f"{project}/" if project else ""
    return sorted(
        (resource for resource in found if resource.name.startswith(prefix)),
        key=lambda resource: resource.name,
    )
