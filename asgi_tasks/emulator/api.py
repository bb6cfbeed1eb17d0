"""What each call of google.pubsub.v1 does that the emulator knows. calls.py lists them."""

from collections.abc import Callable
from time import monotonic
from typing import Final

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.pubsub_v1 import types

from asgi_tasks.emulator import resources
from asgi_tasks.emulator.bell import Bell
from asgi_tasks.emulator.broker import Broker
from asgi_tasks.emulator.errors import FailedPrecondition, InvalidArgument
from asgi_tasks.emulator.model import Lease, Subscription
from asgi_tasks.emulator.resources import Protobuf, checked_name, checked_project

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000
MAX_PULLED: Final = 1000
# With PUBSUB_EMULATOR_HOST Google's own client refuses answers over 4 MB; one may go over this.
PULLED_BYTES: Final = 2_000_000
# Google holds an empty pull for a while too; how long is not documented.
PULL_WAIT: Final = 1.0


class PubSubApi:
    """One method a call, from request to response. Refusals are EmulatorErrors."""

    def __init__(self, broker: Broker, bell: Bell) -> None:
        self._broker = broker
        self._bell = bell

    async def create_topic(self, request: Protobuf) -> Protobuf:
        topic = resources.read_topic(request)
        self._broker.create_topic(topic)
        return resources.write_topic(topic)

    async def get_topic(self, request: Protobuf) -> Protobuf:
        name = checked_name("topics", "topic", request.topic)
        return resources.write_topic(self._broker.topic(name))

    async def list_topics(self, request: Protobuf) -> Protobuf:
        topics = self._broker.topics(checked_project(request.project))
        page, token = _page(topics, request, lambda topic: topic.name)
        return types.ListTopicsResponse.pb()(
            topics=[resources.write_topic(topic) for topic in page], next_page_token=token
        )

    async def delete_topic(self, request: Protobuf) -> Protobuf:
        self._broker.delete_topic(checked_name("topics", "topic", request.topic))
        return Empty()

    async def publish(self, request: Protobuf) -> Protobuf:
        topic = checked_name("topics", "topic", request.topic)
        message_ids = self._broker.publish(topic, resources.read_drafts(request))
        return types.PublishResponse.pb()(message_ids=message_ids)

    async def list_topic_subscriptions(self, request: Protobuf) -> Protobuf:
        topic = checked_name("topics", "topic", request.topic)
        names = [subscription.name for subscription in self._broker.subscriptions_of(topic)]
        page, token = _page(names, request, str)
        return types.ListTopicSubscriptionsResponse.pb()(subscriptions=page, next_page_token=token)

    async def create_subscription(self, request: Protobuf) -> Protobuf:
        subscription = resources.read_subscription(request)
        self._broker.create_subscription(subscription)
        return resources.write_subscription(subscription)

    async def get_subscription(self, request: Protobuf) -> Protobuf:
        return resources.write_subscription(self._subscription(request.subscription))

    async def list_subscriptions(self, request: Protobuf) -> Protobuf:
        found = self._broker.subscriptions(checked_project(request.project))
        page, token = _page(found, request, lambda subscription: subscription.name)
        return types.ListSubscriptionsResponse.pb()(
            subscriptions=[resources.write_subscription(one) for one in page],
            next_page_token=token,
        )

    async def delete_subscription(self, request: Protobuf) -> Protobuf:
        name = checked_name("subscriptions", "subscription", request.subscription)
        self._broker.delete_subscription(name)
        return Empty()

    async def update_subscription(self, request: Protobuf) -> Protobuf:
        current = self._subscription(request.subscription.name)
        self._broker.replace_subscription(resources.merged(current, request))
        return resources.write_subscription(self._broker.subscription(current.name))

    async def modify_push_config(self, request: Protobuf) -> Protobuf:
        current = self._subscription(request.subscription)
        changed = resources.with_push_config(current, request.push_config)
        self._broker.replace_subscription(changed)
        return Empty()

    async def pull(self, request: Protobuf) -> Protobuf:
        subscription = self._subscription(request.subscription)
        if subscription.push is not None:
            raise FailedPrecondition("subscription: a push subscription cannot be pulled.")
        if request.max_messages < 1:
            raise InvalidArgument("max_messages: must be at least 1.")
        limit = min(request.max_messages, MAX_PULLED)
        patience = 0.0 if request.return_immediately else PULL_WAIT
        leases = await self._leases(subscription, limit, patience)
        return types.PullResponse.pb()(
            received_messages=[resources.write_lease(subscription, lease) for lease in leases]
        )

    async def acknowledge(self, request: Protobuf) -> Protobuf:
        name, ack_ids = self._ack_ids(request)
        self._broker.expire()
        for ack_id in ack_ids:
            self._broker.acknowledge(name, ack_id)
        return Empty()

    async def modify_ack_deadline(self, request: Protobuf) -> Protobuf:
        name, ack_ids = self._ack_ids(request)
        seconds = request.ack_deadline_seconds
        if not 0 <= seconds <= 600:
            raise InvalidArgument(f"ack_deadline_seconds: {seconds} is not within 0 to 600.")
        self._broker.expire()
        for ack_id in ack_ids:
            if seconds:
                self._broker.extend(name, ack_id, seconds)
            else:
                self._broker.nack(name, ack_id, error="nacked")
        return Empty()

    def _subscription(self, name: str) -> Subscription:
        return self._broker.subscription(checked_name("subscriptions", "subscription", name))

    async def _leases(self, subscription: Subscription, limit: int, patience: float) -> list[Lease]:
        """What is due, as soon as there is any; nothing when there is none for so long."""
        until = monotonic() + patience
        while not (leases := self._lease(subscription, limit)):
            left = until - monotonic()
            if left <= 0:
                break
            await self._bell.wait(left)
        return leases

    def _lease(self, subscription: Subscription, limit: int) -> list[Lease]:
        self._broker.expire()
        leases: list[Lease] = []
        room = PULLED_BYTES
        while len(leases) < limit and room > 0:
            due = self._broker.lease(subscription.name, 1, seconds=subscription.ack_deadline)
            if not due:
                break
            leases += due
            room -= len(due[0].message.data)
        return leases

    def _ack_ids(self, request: Protobuf) -> tuple[str, list[str]]:
        name = self._subscription(request.subscription).name
        if not request.ack_ids:
            raise InvalidArgument("ack_ids: must name at least one.")
        return name, list(request.ack_ids)


def _page[T](items: list[T], request: Protobuf, name: Callable[[T], str]) -> tuple[list[T], str]:
    """One page of items sorted by name; the token is the last name of the page before."""
    if request.page_size < 0:
        raise InvalidArgument("page_size: must not be negative.")
    size = min(request.page_size or PAGE_SIZE, MAX_PAGE_SIZE)
    rest = [item for item in items if name(item) > request.page_token]
    page = rest[:size]
    return page, name(page[-1]) if len(rest) > size else ""
