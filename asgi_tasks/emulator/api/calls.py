"""The calls the emulator knows, one row each, for gRPC and REST alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from google.iam.v1 import iam_policy_pb2  # type: ignore[import-untyped]
from google.pubsub_v1 import types

from asgi_tasks.emulator.api.checks import Protobuf
from asgi_tasks.emulator.api.iam_policy import IamPolicyApi
from asgi_tasks.emulator.api.publisher import PublisherApi
from asgi_tasks.emulator.api.subscriber import SubscriberApi

PUBLISHER: Final = "google.pubsub.v1.Publisher"
SUBSCRIBER: Final = "google.pubsub.v1.Subscriber"
IAM_POLICY: Final = "google.iam.v1.IAMPolicy"

PROJECT: Final = "/v1/{resource:projects/[^/]+}"
TOPIC: Final = "/v1/{resource:projects/[^/]+/topics/[^/:]+}"
SUBSCRIPTION: Final = "/v1/{resource:projects/[^/]+/subscriptions/[^/:]+}"

type Method = Callable[[Any, Protobuf], Awaitable[Protobuf]]


@dataclass(frozen=True, slots=True)
class Call:
    service: str
    method: Method  # of the service's class
    request: Any  # the protobuf class of the request
    verb: str
    path: str
    path_field: str  # the request's field that the resource in the path fills

    @property
    def name(self) -> str:
        return "".join(word.capitalize() for word in self.method.__name__.split("_"))


def _publisher(method: Method, request: Any, verb: str, path: str, field: str = "topic") -> Call:
    return Call(PUBLISHER, method, request.pb(), verb, path, field)


def _subscriber(
    method: Method, request: Any, verb: str, path: str, field: str = "subscription"
) -> Call:
    return Call(SUBSCRIBER, method, request.pb(), verb, path, field)


def _iam_policy(method: Method, request: Any, verb: str, path: str) -> Call:
    return Call(IAM_POLICY, method, request, verb, path, "resource")


def _of_policies(resource: str) -> tuple[Call, ...]:
    api, pb = IamPolicyApi, iam_policy_pb2
    return (
        _iam_policy(api.get_iam_policy, pb.GetIamPolicyRequest, "GET", f"{resource}:getIamPolicy"),
        _iam_policy(api.set_iam_policy, pb.SetIamPolicyRequest, "POST", f"{resource}:setIamPolicy"),
        _iam_policy(
            api.test_iam_permissions,
            pb.TestIamPermissionsRequest,
            "POST",
            f"{resource}:testIamPermissions",
        ),
    )


def _of_topics() -> tuple[Call, ...]:
    api = PublisherApi
    return (
        _publisher(api.create_topic, types.Topic, "PUT", TOPIC, "name"),
        _publisher(api.get_topic, types.GetTopicRequest, "GET", TOPIC),
        _publisher(api.update_topic, types.UpdateTopicRequest, "PATCH", TOPIC, "topic.name"),
        _publisher(api.list_topics, types.ListTopicsRequest, "GET", f"{PROJECT}/topics", "project"),
        _publisher(
            api.list_topic_subscriptions,
            types.ListTopicSubscriptionsRequest,
            "GET",
            f"{TOPIC}/subscriptions",
        ),
        _publisher(api.delete_topic, types.DeleteTopicRequest, "DELETE", TOPIC),
        _publisher(api.publish, types.PublishRequest, "POST", f"{TOPIC}:publish"),
    )


def _of_subscriptions() -> tuple[Call, ...]:
    api, path = SubscriberApi, SUBSCRIPTION
    return (
        _subscriber(api.create_subscription, types.Subscription, "PUT", path, "name"),
        _subscriber(api.get_subscription, types.GetSubscriptionRequest, "GET", path),
        _subscriber(
            api.list_subscriptions,
            types.ListSubscriptionsRequest,
            "GET",
            f"{PROJECT}/subscriptions",
            "project",
        ),
        _subscriber(
            api.update_subscription,
            types.UpdateSubscriptionRequest,
            "PATCH",
            path,
            "subscription.name",
        ),
        _subscriber(api.delete_subscription, types.DeleteSubscriptionRequest, "DELETE", path),
        _subscriber(
            api.modify_push_config,
            types.ModifyPushConfigRequest,
            "POST",
            f"{path}:modifyPushConfig",
        ),
        _subscriber(api.pull, types.PullRequest, "POST", f"{path}:pull"),
        _subscriber(api.acknowledge, types.AcknowledgeRequest, "POST", f"{path}:acknowledge"),
        _subscriber(
            api.modify_ack_deadline,
            types.ModifyAckDeadlineRequest,
            "POST",
            f"{path}:modifyAckDeadline",
        ),
    )


CALLS: Final = (
    *_of_topics(),
    *_of_subscriptions(),
    *_of_policies(TOPIC),
    *_of_policies(SUBSCRIPTION),
)
