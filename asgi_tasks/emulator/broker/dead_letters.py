"""What a dead letter looks like."""

from datetime import UTC, datetime

from asgi_tasks.emulator.broker.model import Draft, Entry


def dead_letter(entry: Entry) -> Draft:
    """The message as Google forwards it: a new one, with four attributes that say whence."""
    message = entry.message
    return Draft(
        data=message.data,
        attributes={**message.attributes, **_source(entry)},
        ordering_key=message.ordering_key,
    )


def _source(entry: Entry) -> dict[str, str]:
    _, project, _, name = entry.subscription.split("/")
    published_at = datetime.fromtimestamp(entry.message.published_at, UTC)
    return {
        "CloudPubSubDeadLetterSourceSubscription": name,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceDeliveryCount": str(entry.counted),
        "CloudPubSubDeadLetterSourceTopicPublishTime": published_at.isoformat(
            timespec="milliseconds"
        ),
    }
