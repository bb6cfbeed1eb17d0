"""PubSubAdmin: every call of Google's administrative API, by google-cloud-pubsub."""

import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Self

from . import wire
from .calls import CALL_TIMEOUT, explained, limits
from .changes import Action, Change
from .labels import GRANTS
from .problems import ACT_AS, CallFailed, Conflict, Context
from .resources import Grant, Live, Pair, Subscription, Topic, kind, short

PAGE_SIZE: Final = 1000  # the most Pub/Sub gives
WORKERS: Final = 32
POLICY_TRIES: Final = 10


class PubSubAdmin:
    """Reads and changes the topics and subscriptions of one project, from any thread.

    Use as a context manager. All of it raises ProvisioningError; a call that failed is CallFailed.
    """

    def __init__(
        self, project_id: str, *, push_account: str = "", timeout: float = CALL_TIMEOUT
    ) -> None:
        self._project = f"projects/{project_id}"
        self._timeout = timeout
        self._context = Context(project_id=project_id, push_account=push_account)
        with self._called("connect to Pub/Sub", ()):
            from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

            self._publisher = PublisherClient()
            self._subscriber = SubscriberClient()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._publisher.stop()
        self._publisher.transport.close()
        self._subscriber.close()

    # What there is

    def live(self, policies: Iterable[str] = ()) -> Live:
        """All topics and subscriptions of the project, and those of these policies that exist."""
        request = {"project": self._project, "page_size": PAGE_SIZE}
        with self._called("list the topics", ["pubsub.topics.list"]):
            pages = self._publisher.list_topics(request=request, **self._limits()).pages
            topics = [wire.topic_from(one) for page in pages for one in _plain(page).topics]
        with self._called("list the subscriptions", ["pubsub.subscriptions.list"]):
            pages = self._subscriber.list_subscriptions(request=request, **self._limits()).pages
            found = [
                wire.subscription_from(one) for page in pages for one in _plain(page).subscriptions
            ]
        live = Live(
            topics={one.name: one for one in topics},
            subscriptions={one.name: one for one in found},
        )
        return self.with_policies(live, policies)

    def with_policies(self, live: Live, names: Iterable[str]) -> Live:
        """The same, and who holds which role on these, as far as they exist."""
        existing = [name for name in names if name in live.topics or name in live.subscriptions]
        if not existing:
            return live
        with ThreadPoolExecutor(WORKERS) as executor:
            read = dict(zip(existing, executor.map(self._grants, existing), strict=True))
        return replace(live, grants={**live.grants, **read})

    def look_at(self, pair: Pair) -> Live:
        """One topic, its subscription and the policy that matters, as they are now."""
        topic, subscription = self.topic(pair.topic.name), self.subscription(pair.subscription.name)
        live = Live(
            topics={topic.name: topic} if topic else {},
            subscriptions={subscription.name: subscription} if subscription else {},
        )
        return self.with_policies(live, [pair.grant.resource] if pair.grant else [])

    def topic(self, name: str) -> Topic | None:
        """None if there is none."""
        return self._found(
            lambda: wire.topic_from(
                _plain(self._publisher.get_topic(topic=name, **self._limits()))
            ),
            f"look at the topic {short(name)}",
            "pubsub.topics.get",
        )

    def subscription(self, name: str) -> Subscription | None:
        """None if there is none."""
        return self._found(
            lambda: wire.subscription_from(
                _plain(self._subscriber.get_subscription(subscription=name, **self._limits()))
            ),
            f"look at the subscription {short(name)}",
            "pubsub.subscriptions.get",
        )

    # What to change

    def make(self, change: Change) -> None:
        """Carry out one step. Raise Conflict if somebody else was there first."""
        match change.action, change.resource:
            case Action.GRANT, Grant() as grant:
                self._grant(grant)
                self._seal(grant.resource)
            case Action.CREATE, Topic() as topic:
                self._create_topic(topic)
            case Action.CREATE, Subscription() as subscription:
                self._create_subscription(subscription)
            case ((Action.UPDATE | Action.RETIRE), Topic() as topic):
                self._update_topic(topic, _masks(change))
            case ((Action.UPDATE | Action.RETIRE), Subscription() as subscription):
                self._update_subscription(subscription, _masks(change))
            case Action.DELETE, Topic() | Subscription():
                self._delete(change.name)
            case _:
                raise TypeError(f"{change.action} {change.kind} cannot be made")

    def _seal(self, name: str) -> None:
        """Take the mark off: by what the labels are now, as somebody may have paused it."""
        live = self.subscription(name) if kind(name) == "subscriptions" else None
        if live is not None and GRANTS in live.labels:
            others = {key: value for key, value in live.labels.items() if key != GRANTS}
            self._update_subscription(replace(live, labels=others), ["labels"])

    def _create_topic(self, topic: Topic) -> None:
        with self._called(f"create the topic {short(topic.name)}", ["pubsub.topics.create"]):
            self._publisher.create_topic(request=wire.topic_request(topic), **self._limits())

    def _create_subscription(self, subscription: Subscription) -> None:
        action = f"create the subscription {short(subscription.name)}"
        permissions = ["pubsub.subscriptions.create", "pubsub.topics.attachSubscription"]
        if subscription.service_account:
            permissions.append(ACT_AS)
        with self._called(action, permissions):
            request = wire.subscription_request(subscription)
            self._subscriber.create_subscription(request=request, **self._limits())

    def _update_topic(self, topic: Topic, masks: Iterable[str]) -> None:
        with self._called(f"update the topic {short(topic.name)}", ["pubsub.topics.update"]):
            request = {"topic": wire.topic_request(topic), "update_mask": {"paths": [*masks]}}
            self._publisher.update_topic(request=request, **self._limits())

    def _update_subscription(self, subscription: Subscription, masks: Iterable[str]) -> None:
        masks = list(masks)
        permissions = ["pubsub.subscriptions.update"]
        if subscription.service_account and "push_config" in masks:
            permissions.append(ACT_AS)
        with self._called(f"update the subscription {short(subscription.name)}", permissions):
            request = {
                "subscription": wire.subscription_request(subscription),
                "update_mask": {"paths": masks},
            }
            self._subscriber.update_subscription(request=request, **self._limits())

    def _delete(self, name: str) -> None:
        with self._called(f"delete {short(name)}", [f"pubsub.{kind(name)}.delete"]):
            if kind(name) == "topics":
                self._publisher.delete_topic(topic=name, **self._limits())
            else:
                self._subscriber.delete_subscription(subscription=name, **self._limits())

    # Policies

    def _grants(self, name: str) -> frozenset[tuple[str, str]] | None:
        """None if we may not read them, or if it is gone: who then grants will be told."""
        try:
            return wire.grants_from(self._policy(name))
        except CallFailed as error:
            if isinstance(error, Conflict) or error.missing:
                return None
            raise

    def _grant(self, grant: Grant) -> None:
        """Read, change and write the policy until nobody comes between."""
        for number in range(POLICY_TRIES):
            policy = self._policy(grant.resource, grant)
            if (grant.role, grant.member) in wire.grants_from(policy):
                return
            wire.add_grant(policy, grant.role, grant.member)
            if self._set_policy(grant, policy):
                return
            time.sleep(random.uniform(0, 0.05 * 2**number))  # noqa: S311 - nothing secret
        raise CallFailed(f"Could not grant {grant.role} on {grant.resource}: its policy is busy")

    def _policy(self, name: str, grant: Grant | None = None) -> Any:
        permission = f"pubsub.{kind(name)}.getIamPolicy"
        with self._called(f"read the policy of {short(name)}", [permission], grant):
            # Version 3 shows conditions; without it they would be lost in the write.
            request = {"resource": name, "options": {"requested_policy_version": 3}}
            return self._client(name).get_iam_policy(request=request, **self._limits())

    def _set_policy(self, grant: Grant, policy: Any) -> bool:
        """Whether it was written; not if somebody else did so meanwhile."""
        from google.api_core.exceptions import Aborted

        permission = f"pubsub.{kind(grant.resource)}.setIamPolicy"
        with self._called(f"grant {grant.role} on {short(grant.resource)}", [permission], grant):
            request = {"resource": grant.resource, "policy": policy}
            try:
                self._client(grant.resource).set_iam_policy(request=request, **self._limits())
            except Aborted:
                return False
            return True

    # Calls

    def _client(self, name: str) -> Any:
        return self._publisher if kind(name) == "topics" else self._subscriber

    def _found[T](self, get: Callable[[], T], action: str, permission: str) -> T | None:
        try:
            with self._called(action, [permission]):
                return get()
        except Conflict:
            return None

    def _limits(self) -> dict[str, Any]:
        return limits(self._timeout)

    def _called(
        self, action: str, permissions: Iterable[str], grant: Grant | None = None
    ) -> AbstractContextManager[None]:
        return explained(action, permissions, self._context, grant)


def _plain(message: Any) -> Any:
    """The protobuf behind Google's wrapper, which takes ten times as long to read."""
    return type(message).pb(message)


def _masks(change: Change) -> list[str]:
    return list(dict.fromkeys(difference.mask for difference in change.differences))
