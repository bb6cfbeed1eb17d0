"""google.pubsub.v1.Publisher."""

import asyncio

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.pubsub_v1 import types

from asgi_tasks.emulator.api import messages, topics
from asgi_tasks.emulator.api.checks import Protobuf, checked_name, checked_project
from asgi_tasks.emulator.api.paging import page
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.faults import Fault, Faults, Kind
from asgi_tasks.emulator.broker.model import Topic
from asgi_tasks.emulator.errors import ON_PURPOSE, ConnectionLost, EmulatorError, refusal


class PublisherApi:
    """One method a call, from request to response. Refusals are EmulatorErrors."""

    def __init__(self, broker: Broker, faults: Faults) -> None:
        self._broker = broker
        self._faults = faults

    async def create_topic(self, request: Protobuf) -> Protobuf:
        topic = topics.read(request)
        self._broker.create_topic(topic)
        return topics.write(topic)

    async def get_topic(self, request: Protobuf) -> Protobuf:
        return topics.write(self._topic(request.topic))

    async def update_topic(self, request: Protobuf) -> Protobuf:
        topic = topics.merged(self._topic(request.topic.name), request)
        self._broker.replace_topic(topic)
        return topics.write(topic)

    async def list_topics(self, request: Protobuf) -> Protobuf:
        found = self._broker.topics(checked_project(request.project))
        some, token = page(found, request, lambda topic: topic.name)
        return types.ListTopicsResponse.pb()(
            topics=[topics.write(topic) for topic in some], next_page_token=token
        )

    async def list_topic_subscriptions(self, request: Protobuf) -> Protobuf:
        topic = checked_name("topics", "topic", request.topic)
        names = [subscription.name for subscription in self._broker.subscriptions_of(topic)]
        some, token = page(names, request, str)
        return types.ListTopicSubscriptionsResponse.pb()(subscriptions=some, next_page_token=token)

    async def delete_topic(self, request: Protobuf) -> Protobuf:
        self._broker.delete_topic(checked_name("topics", "topic", request.topic))
        return Empty()

    async def publish(self, request: Protobuf) -> Protobuf:
        topic = checked_name("topics", "topic", request.topic)
        drafts = messages.read(request)
        fault = self._faults.draw("publish", topic)
        if fault is not None and fault.kind is not Kind.PUBLISH_LOSE_RESPONSE:
            raise await _refusal(fault)
        message_ids = self._broker.publish(topic, drafts)
        if fault is not None:
            raise ConnectionLost(ON_PURPOSE)
        return types.PublishResponse.pb()(message_ids=message_ids)

    def _topic(self, name: str) -> Topic:
        return self._broker.topic(checked_name("topics", "topic", name))


async def _refusal(fault: Fault) -> EmulatorError:
    if fault.kind is Kind.PUBLISH_CLOSE:
        return ConnectionLost(ON_PURPOSE)
    if fault.kind is Kind.PUBLISH_HANG:
        await asyncio.sleep(fault.seconds or 0.0)
    return refusal(fault.status, ON_PURPOSE)
