"""What Pub/Sub has to hold for the routes to work: plan(desired, live), then create what it lists.

Administration by google-cloud-pubsub; the web process never imports it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from .exceptions import ProvisioningError
from .routes import RouteTable, TaskRoute

DEAD_LETTER_RETENTION = 31 * 86_400  # seconds, the longest Pub/Sub offers
CALL_TIMEOUT = 30  # seconds, retries included
NEVER: dict[str, Any] = {}  # an expiration policy that is set and empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic, by its full resource name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription, by its full resource name, with the fields to create it with.

    ``settings``: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions
    """

    name: str
    topic: str
    settings: dict[str, Any] = field(hash=False)


type Resource = Topic | Subscription


def desired(table: RouteTable) -> list[Resource]:
    """All that the routes need, in the order it has to be made."""
    # Each subscription follows its topic at once: a topic without one loses what is published.
    pairs = [pair for route in table for name in route.names for pair in _pair(table, route, name)]
    return [*_dead_letters(table), *pairs]


def plan(wanted: Iterable[Resource], live: Iterable[str]) -> list[Resource]:
    """What to create, given the full names of the topics and subscriptions there are."""
    existing = set(live)
    return [resource for resource in wanted if resource.name not in existing]


def _pair(table: RouteTable, route: TaskRoute, name: str) -> Iterator[Resource]:
    options, topic = table.options, table.topic(name)
    settings = {
        "push_config": {
            "push_endpoint": options.endpoint,
            "oidc_token": {
                "service_account_email": options.push_service_account,
                "audience": options.audience,
            },
        },
        "ack_deadline_seconds": route.ack_deadline,
        "retry_policy": {
            "minimum_backoff": {"seconds": route.min_retry_delay},
            "maximum_backoff": {"seconds": route.max_retry_delay},
        },
        "dead_letter_policy": {
            "dead_letter_topic": table.dead_letter_topic,
            "max_delivery_attempts": route.max_delivery_attempts,
        },
        "expiration_policy": NEVER,
    }
    yield Topic(name=topic)
    yield Subscription(name=table.subscription(name), topic=topic, settings=settings)


def _dead_letters(table: RouteTable) -> Iterator[Resource]:
    settings = {
        "ack_deadline_seconds": 60,
        "message_retention_duration": {"seconds": DEAD_LETTER_RETENTION},
        "expiration_policy": NEVER,
    }
    topic = table.dead_letter_topic
    yield Topic(name=topic)
    yield Subscription(name=table.dead_letter_subscription, topic=topic, settings=settings)


class PubSubAdmin:
    """Lists and creates the topics and subscriptions of one project.

    Use as a context manager. All of it raises ProvisioningError.
    """

    def __init__(self, project_id: str) -> None:
        self._project = f"projects/{project_id}"
        with _explained("connect to Pub/Sub"):
            from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

            self._publisher = PublisherClient()
            self._subscriber = SubscriberClient()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._publisher.stop()
        self._publisher.transport.close()
        self._subscriber.close()

    def live(self) -> list[str]:
        """The full names of all topics and subscriptions of the project."""
        with _explained("list the topics and subscriptions"):
            topics = self._publisher.list_topics(project=self._project, **_limits())
            subscriptions = self._subscriber.list_subscriptions(project=self._project, **_limits())
            return [resource.name for pages in (topics, subscriptions) for resource in pages]

    def create(self, resource: Resource) -> bool:
        """Create it. False if another process did so meanwhile."""
        from google.api_core.exceptions import AlreadyExists

        with _explained(f"create {resource.name}"):
            try:
                self._create(resource)
            except AlreadyExists:
                return False
            return True

    def _create(self, resource: Resource) -> None:
        if isinstance(resource, Topic):
            self._publisher.create_topic(name=resource.name, **_limits())
        else:
            request = {"name": resource.name, "topic": resource.topic, **resource.settings}
            self._subscriber.create_subscription(request=request, **_limits())


@contextmanager
def _explained(action: str) -> Iterator[None]:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError) as error:
        raise ProvisioningError(f"Could not {action}: {error}") from error


def _limits() -> dict[str, Any]:
    from google.api_core.retry import Retry

    return {"retry": Retry(timeout=CALL_TIMEOUT), "timeout": CALL_TIMEOUT}
