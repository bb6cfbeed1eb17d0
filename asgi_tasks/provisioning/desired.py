"""What the routes need: pure."""

from typing import Final

from ..routes import DEAD_LETTER, RouteTable, TaskRoute, slug
from .labels import identity
from .resources import Desired, Grant, Pair, Subscription, Topic

DAY: Final = 86_400  # seconds
RETENTION: Final = 7 * DAY  # Pub/Sub's default, written down
DEAD_LETTER_RETENTION: Final = 31 * DAY  # the longest Pub/Sub offers
DEAD_LETTER_ACK_DEADLINE: Final = 60  # who pulls them takes a look, and may extend it

PUBLISHER: Final = "roles/pubsub.publisher"
SUBSCRIBER: Final = "roles/pubsub.subscriber"


def desired(table: RouteTable, *, agent: str | None = None) -> Desired:
    """All that the routes need.

    ``agent`` is Pub/Sub's service agent as a member of IAM; None leaves the grants to others.
    """
    options = table.options
    return Desired(
        project=f"projects/{options.project_id}",
        environment=options.environment,
        prefix=f"{options.environment}-{options.topic_prefix}-",
        dead_letters=_dead_letters(table, agent),
        routes=tuple(_pair(table, route, name, agent) for route in table for name in route.names),
    )


def _pair(table: RouteTable, route: TaskRoute, name: str, agent: str | None) -> Pair:
    options, topic = table.options, table.topic(name)
    labels = identity(options.environment, slug(name))
    subscription = Subscription(
        name=table.subscription(name),
        topic=topic,
        endpoint=options.endpoint,
        service_account=options.push_service_account,
        audience=options.audience,
        ack_deadline=route.ack_deadline,
        min_retry_delay=route.min_retry_delay,
        max_retry_delay=route.max_retry_delay,
        dead_letter_topic=table.dead_letter_topic,
        max_delivery_attempts=route.max_delivery_attempts,
        retention=RETENTION,
        labels=labels,
    )
    # It takes the message from here once it is in the dead-letter topic.
    grant = agent and Grant(resource=subscription.name, role=SUBSCRIBER, member=agent)
    return Pair(
        topic=Topic(name=topic, labels=labels), subscription=subscription, grant=grant or None
    )


def _dead_letters(table: RouteTable, agent: str | None) -> Pair:
    labels = identity(table.options.environment, DEAD_LETTER)
    topic = Topic(name=table.dead_letter_topic, labels=labels)
    subscription = Subscription(
        name=table.dead_letter_subscription,
        topic=topic.name,
        ack_deadline=DEAD_LETTER_ACK_DEADLINE,
        retention=DEAD_LETTER_RETENTION,
        labels=labels,
    )
    grant = agent and Grant(resource=topic.name, role=PUBLISHER, member=agent)
    return Pair(topic=topic, subscription=subscription, grant=grant or None)
