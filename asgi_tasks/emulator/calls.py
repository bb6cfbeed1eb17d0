"""The calls the emulator knows, one row each, for gRPC and REST alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from google.pubsub_v1 import types

from asgi_tasks.emulator.api import PubSubApi
from asgi_tasks.emulator.resources import Protobuf

PUBLISHER: Final = "google.pubsub.v1.Publisher"
SUBSCRIBER: Final = "google.pubsub.v1.Subscriber"

PROJECT: Final = "/v1/{resource:projects/[^/]+}"
TOPIC: Final = "/v1/{resource:projects/[^/]+/topics/[^/:]+}"
SUBSCRIPTION: Final = "/v1/{resource:projects/[^/]+/subscriptions/[^/:]+}"


@dataclass(frozen=True, slots=True)
class Call:
    service: str
    handler: Callable[[PubSubApi, Protobuf], Awaitable[Protobuf]]
    request: Any  # the proto-plus type of the request
    verb: str
    path: str
    path_field: str  # the request's field that the resource in the path fills

    @property
    def name(self) -> str:
        return "".join(word.capitalize() for word in self.handler.__name__.split("_"))


_PUBLISHER_CALLS = (
    Call(PUBLISHER, PubSubApi.create_topic, types.Topic, "PUT", TOPIC, "name"),
    Call(PUBLISHER, PubSubApi.get_topic, types.GetTopicRequest, "GET", TOPIC, "topic"),
    Call(
        PUBLISHER,
        PubSubApi.list_topics,
        types.ListTopicsRequest,
        "GET",
        f"{PROJECT}/topics",
        "project",
    ),
    Call(PUBLISHER, PubSubApi.delete_topic, types.DeleteTopicRequest, "DELETE", TOPIC, "topic"),
    Call(PUBLISHER, PubSubApi.publish, types.PublishRequest, "POST", f"{TOPIC}:publish", "topic"),
    Call(
        PUBLISHER,
        PubSubApi.list_topic_subscriptions,
        types.ListTopicSubscriptionsRequest,
        "GET",
        f"{TOPIC}/subscriptions",
        "topic",
    ),
)
_SUBSCRIBER_CALLS = (
    Call(
        SUBSCRIBER,
        PubSubApi.create_subscription,
        types.Subscription,
        "PUT",
        SUBSCRIPTION,
        "name",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.get_subscription,
        types.GetSubscriptionRequest,
        "GET",
        SUBSCRIPTION,
        "subscription",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.list_subscriptions,
        types.ListSubscriptionsRequest,
        "GET",
        f"{PROJECT}/subscriptions",
        "project",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.update_subscription,
        types.UpdateSubscriptionRequest,
        "PATCH",
        SUBSCRIPTION,
        "subscription.name",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.delete_subscription,
        types.DeleteSubscriptionRequest,
        "DELETE",
        SUBSCRIPTION,
        "subscription",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.modify_push_config,
        types.ModifyPushConfigRequest,
        "POST",
        f"{SUBSCRIPTION}:modifyPushConfig",
        "subscription",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.pull,
        types.PullRequest,
        "POST",
        f"{SUBSCRIPTION}:pull",
        "subscription",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.acknowledge,
        types.AcknowledgeRequest,
        "POST",
        f"{SUBSCRIPTION}:acknowledge",
        "subscription",
    ),
    Call(
        SUBSCRIBER,
        PubSubApi.modify_ack_deadline,
        types.ModifyAckDeadlineRequest,
        "POST",
        f"{SUBSCRIPTION}:modifyAckDeadline",
        "subscription",
    ),
)
CALLS: Final = _PUBLISHER_CALLS + _SUBSCRIBER_CALLS
