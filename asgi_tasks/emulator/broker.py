"""
The broker as a pure state machine: its clock is injected, and it knows no sockets, no event loop
and no protobuf. Who wants to hear that something changed passes ``on_change``.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from asgi_tasks.emulator.errors import AlreadyExists, NotFound
from asgi_tasks.emulator.model import (
    DELETED_TOPIC,
    Draft,
    Entry,
    Lease,
    Message,
    State,
    Subscription,
    Topic,
)
from asgi_tasks.emulator.queue import SubscriptionQueue

FINISHED_KEPT = 20_000


class Broker:
    def __init__(
        self,
        *,
        clock: Callable[[], float],
        time_factor: float = 1.0,
        on_change: Callable[[], None] = lambda: None,
        finished_kept: int = FINISHED_KEPT,
    ) -> None:
        self._clock = clock
        self._time_factor = time_factor
        self._on_change = on_change
        self._topics: dict[str, Topic] = {}
        self._queues: dict[str, SubscriptionQueue] = {}
        self._finished: deque[Entry] = deque(maxlen=finished_kept)
        # Ids start at the clock's microseconds, so that a restart does not repeat them.
        self._ids = count(int(clock() * 1_000_000))

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

    def topics(self, project: str) -> list[Topic]:
        return sorted(_of_project(self._topics.values(), project), key=lambda topic: topic.name)

    def delete_topic(self, name: str) -> None:
        self.topic(name)
        del self._topics[name]
        for queue in self._queues_of(name):
            queue.move_to(DELETED_TOPIC)

    def publish(self, topic: str, drafts: Iterable[Draft]) -> list[str]:
        self.topic(topic)
        queues = self._queues_of(topic)
        messages = [self._message(topic, draft) for draft in drafts]
        for message in messages:
            for queue in queues:
                queue.add(message)
        self._on_change()
        return [message.message_id for message in messages]

    # Subscriptions

    def create_subscription(self, subscription: Subscription) -> None:
        if subscription.name in self._queues:
            raise AlreadyExists(subscription.name)
        self.topic(subscription.topic)
        self._require_dead_letter_topic(subscription)
        self._queues[subscription.name] = SubscriptionQueue(
            subscription, clock=self._clock, time_factor=self._time_factor
        )

    def subscription(self, name: str) -> Subscription:
        return self._queue(name).subscription

    def subscriptions(self, project: str) -> list[Subscription]:
        found = _of_project((queue.subscription for queue in self._queues.values()), project)
        return sorted(found, key=lambda subscription: subscription.name)

    def subscriptions_of(self, topic: str) -> list[Subscription]:
        self.topic(topic)
        found = (queue.subscription for queue in self._queues_of(topic))
        return sorted(found, key=lambda subscription: subscription.name)

    def push_subscriptions(self) -> list[Subscription]:
        return [queue.subscription for queue in self._queues.values() if queue.subscription.push]

    def replace_subscription(self, subscription: Subscription) -> None:
        """Give a subscription new settings; its topic and its messages stay."""
        queue = self._queue(subscription.name)
        if subscription.dead_letter != queue.subscription.dead_letter:
            self._require_dead_letter_topic(subscription)
        queue.subscription = replace(subscription, topic=queue.subscription.topic)
        self._on_change()

    def delete_subscription(self, name: str) -> None:
        self._queue(name)
        del self._queues[name]

    # Deliveries

    def lease(self, name: str, limit: int, *, seconds: float | None = None) -> list[Lease]:
        """Hand out due messages; without seconds they stay out until settled."""
        return self._queue(name).lease(limit, seconds)

    def extend(self, name: str, ack_id: str, seconds: float) -> None:
        self._queue(name).extend(ack_id, seconds)

    def acknowledge(self, name: str, ack_id: str, *, status: int | None = None) -> bool:
        """End a delivery well; False when it had ended already."""
        queue = self._queues.get(name)
        entry = queue.settle(ack_id, status, None) if queue else None
        if entry is not None:
            self._finish(entry, State.ACKNOWLEDGED)
        return entry is not None

    def nack(
        self, name: str, ack_id: str, *, status: int | None = None, error: str | None = None
    ) -> bool:
        """End a delivery badly: the message is redelivered, or forwarded as a dead letter."""
        queue = self._queues.get(name)
        entry = queue.settle(ack_id, status, error) if queue else None
        if queue is None or entry is None:
            return False
        if not (queue.exhausted(entry) and self._forward(queue.subscription, entry)):
            queue.retry(entry)
        self._on_change()
        return True

    def expire(self) -> None:
        """Nack every lease whose deadline has passed."""
        for name, queue in list(self._queues.items()):
            for ack_id in queue.expired():
                self.nack(name, ack_id, error="the ack deadline passed")

    def next_due(self, name: str) -> float | None:
        return self._queue(name).next_due()

    def next_expiry(self) -> float | None:
        expiries = (queue.next_expiry() for queue in self._queues.values())
        return min((at for at in expiries if at is not None), default=None)

    # The record

    def record(self, *, topic: str | None = None, subscription: str | None = None) -> list[Entry]:
        """Every message for every subscription, oldest first; of the finished the last 20,000."""
        entries = [*self._finished, *(entry for queue in self._queues.values() for entry in queue)]
        return sorted(
            (
                entry
                for entry in entries
                if topic in (None, entry.message.topic)
                and subscription in (None, entry.subscription)
            ),
            key=lambda entry: (int(entry.message.message_id), entry.subscription),
        )

    def clear_finished(self) -> int:
        cleared = len(self._finished)
        self._finished.clear()
        return cleared

    def counts(self) -> dict[str, int]:
        states = Counter(entry.state.value for entry in self.record())
        return {
            "topics": len(self._topics),
            "subscriptions": len(self._queues),
            **{state.value: states[state.value] for state in State},
        }

    def _queue(self, name: str) -> SubscriptionQueue:
        try:
            return self._queues[name]
        except KeyError:
            raise NotFound(name) from None

    def _queues_of(self, topic: str) -> list[SubscriptionQueue]:
        return [queue for queue in self._queues.values() if queue.subscription.topic == topic]

    def _require_dead_letter_topic(self, subscription: Subscription) -> None:
        if subscription.dead_letter is not None:
            self.topic(subscription.dead_letter.topic)

    def _message(self, topic: str, draft: Draft) -> Message:
        return Message(
            message_id=str(next(self._ids)),
            topic=topic,
            published_at=self._clock(),
            data=draft.data,
            attributes=draft.attributes,
            ordering_key=draft.ordering_key,
        )

    def _finish(self, entry: Entry, state: State) -> None:
        entry.state = state
        entry.message = replace(entry.message, data=b"")
        self._finished.append(entry)

    def _forward(self, subscription: Subscription, entry: Entry) -> bool:
        """Publish a dead letter; a topic that is gone keeps the message where it is."""
        policy, message = subscription.dead_letter, entry.message
        if policy is None or policy.topic not in self._topics:
            return False
        attributes = {**message.attributes, **_source(subscription, entry)}
        draft = Draft(data=message.data, attributes=attributes, ordering_key=message.ordering_key)
        self._finish(entry, State.DEAD_LETTERED)
        self.publish(policy.topic, [draft])
        return True


def _of_project[T: (Topic, Subscription)](resources: Iterable[T], project: str) -> list[T]:
    return [resource for resource in resources if resource.name.startswith(f"{project}/")]


def _source(subscription: Subscription, entry: Entry) -> dict[str, str]:
    _, project, _, name = subscription.name.split("/")
    published_at = datetime.fromtimestamp(entry.message.published_at, UTC)
    return {
        "CloudPubSubDeadLetterSourceSubscription": name,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceDeliveryCount": str(entry.attempts),
        "CloudPubSubDeadLetterSourceTopicPublishTime": published_at.isoformat(
            timespec="milliseconds"
        ),
    }
