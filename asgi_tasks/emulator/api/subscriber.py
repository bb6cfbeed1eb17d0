"""google.pubsub.v1.Subscriber."""

from time import monotonic
from typing import Final

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.pubsub_v1 import types

from asgi_tasks.emulator.api import messages, subscriptions
from asgi_tasks.emulator.api.checks import Protobuf, checked_name, checked_project
from asgi_tasks.emulator.api.paging import page
from asgi_tasks.emulator.bell import Bell
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.model import DELETED_TOPIC, Lease, Subscription
from asgi_tasks.emulator.clock import Clock
from asgi_tasks.emulator.errors import FailedPrecondition, InvalidArgument

MAX_PULLED: Final = 1000
# With PUBSUB_EMULATOR_HOST Google's own client refuses answers over 4 MB; one may go over this.
PULLED_BYTES: Final = 2_000_000
# Google holds an empty pull for a while too; how long is not documented.
PULL_WAIT: Final = 1.0


class SubscriberApi:
    """One method a call, from request to response. Refusals are EmulatorErrors."""

    def __init__(self, broker: Broker, *, bell: Bell, clock: Clock) -> None:
        self._broker = broker
        self._bell = bell
        self._clock = clock

    async def create_subscription(self, request: Protobuf) -> Protobuf:
        subscription = subscriptions.read(request)
        self._broker.create_subscription(subscription)
        return self._written(subscription)

    async def get_subscription(self, request: Protobuf) -> Protobuf:
        return self._written(self._subscription(request.subscription))

    async def list_subscriptions(self, request: Protobuf) -> Protobuf:
        self._broker.catch_up()
        found = self._broker.subscriptions(checked_project(request.project))
        some, token = page(found, request, lambda subscription: subscription.name)
        return types.ListSubscriptionsResponse.pb()(
            subscriptions=[self._written(one) for one in some], next_page_token=token
        )

    async def update_subscription(self, request: Protobuf) -> Protobuf:
        current = self._subscription(request.subscription.name)
        self._broker.replace_subscription(subscriptions.merged(current, request))
        return self._written(self._broker.subscription(current.name))

    async def delete_subscription(self, request: Protobuf) -> Protobuf:
        self._broker.delete_subscription(self._subscription(request.subscription).name)
        return Empty()

    async def modify_push_config(self, request: Protobuf) -> Protobuf:
        current = self._subscription(request.subscription)
        changed = subscriptions.with_push_config(current, request.push_config)
        self._broker.replace_subscription(changed)
        return Empty()

    async def pull(self, request: Protobuf) -> Protobuf:
        subscription = self._subscription(request.subscription)
        if subscription.push is not None:
            raise FailedPrecondition("subscription: a push subscription cannot be pulled.")
        if request.max_messages < 1:
            raise InvalidArgument("max_messages: must be at least 1.")
        limit = min(request.max_messages, MAX_PULLED)
        wait = PULL_WAIT * self._broker.time_factor
        patience = 0.0 if request.return_immediately else wait
        leases = await self._leases(subscription, limit, patience)
        return types.PullResponse.pb()(
            received_messages=[messages.write(subscription, lease) for lease in leases]
        )

    async def acknowledge(self, request: Protobuf) -> Protobuf:
        name, ack_ids = self._ack_ids(request)
        for ack_id in ack_ids:
            self._broker.acknowledge(name, ack_id)
        return Empty()

    async def modify_ack_deadline(self, request: Protobuf) -> Protobuf:
        name, ack_ids = self._ack_ids(request)
        seconds = request.ack_deadline_seconds
        if not 0 <= seconds <= 600:
            raise InvalidArgument(f"ack_deadline_seconds: {seconds} is not within 0 to 600.")
        for ack_id in ack_ids:
            if seconds:
                self._broker.extend(name, ack_id, seconds)
            else:
                self._broker.nack(name, ack_id, error="nacked")
        return Empty()

    def _subscription(self, name: str) -> Subscription:
        self._broker.catch_up()
        return self._broker.subscription(checked_name("subscriptions", "subscription", name))

    def _written(self, subscription: Subscription) -> Protobuf:
        deleted = subscription.topic == DELETED_TOPIC
        topic = None if deleted else self._broker.topic(subscription.topic)
        return subscriptions.write(subscription, topic)

    async def _leases(self, subscription: Subscription, limit: int, patience: float) -> list[Lease]:
        """What is due, as soon as there is any; nothing when there is none for so long."""
        until = monotonic() + patience
        while not (leases := self._lease(subscription, limit)):
            left = until - monotonic()
            if left <= 0:
                break
            await self._bell.wait(min(left, self._until_due(subscription, left)))
        return leases

    def _until_due(self, subscription: Subscription, otherwise: float) -> float:
        due_at = self._broker.queue(subscription.name).next_due()
        return otherwise if due_at is None else max(0.01, due_at - self._clock())

    def _lease(self, subscription: Subscription, limit: int) -> list[Lease]:
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
