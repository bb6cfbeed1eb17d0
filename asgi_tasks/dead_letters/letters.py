"""DeadLetter: a message as Pub/Sub forwarded it: pure."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

# Pub/Sub adds such attributes to what it forwards; these are documented, and there are others.
# https://cloud.google.com/pubsub/docs/dead-letter-topics#how_dead_letter_topics_work
SOURCE: Final = "CloudPubSubDeadLetterSource"
OVERHEAD: Final = 4_000  # bytes of memory that a letter takes beside its data


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message of the dead-letter topic."""

    message_id: str  # of the dead letter: forwarding made a new message
    data: bytes = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False, hash=False)
    ordering_key: str = field(repr=False, default="")
    died_at: datetime  # aware: when it was forwarded

    @property
    def source_subscription(self) -> str:
        """The full name of the subscription that gave up; empty if nobody says."""
        name = self.attributes.get(f"{SOURCE}Subscription")
        project = self.attributes.get(f"{SOURCE}SubscriptionProject")
        return f"projects/{project}/subscriptions/{name}" if name and project else ""

    @property
    def delivery_attempts(self) -> int | None:
        """How often it was delivered."""
        count = self.attributes.get(f"{SOURCE}DeliveryCount", "")
        return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else None

    @property
    def published_at(self) -> datetime | None:
        """When it was published to the topic it died in; aware."""
        with contextlib.suppress(ValueError, OverflowError):
            text = self.attributes.get(f"{SOURCE}TopicPublishTime", "")
            found = datetime.fromisoformat(text)
            return found.astimezone(UTC) if found.tzinfo else None
        return None

    @property
    def size(self) -> int:
        """About what it takes of memory, in bytes."""
        return len(self.data) + OVERHEAD


def letter_from(message: Any) -> DeadLetter:
    """The dead letter in Google's PubsubMessage."""
    return DeadLetter(
        message_id=message.message_id,
        data=message.data,
        attributes=dict(sorted(message.attributes.items())),
        ordering_key=message.ordering_key,
        died_at=message.publish_time.ToDatetime(tzinfo=UTC),
    )
