"""What the emulator says it did: messages and their deliveries, never their data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

type State = Literal["waiting", "outstanding", "acknowledged", "dead_lettered", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One push of a message, or one pull. Times are aware, by the emulator's clock."""

    task: str | None  # the task's name in its route; None: no task of asgi_tasks
    attempt: int
    status: int | None  # of the answer; None: there is none, or it was pulled
    error: str | None = None  # why there is none
    fault: str | None = None  # what was done to it on purpose: "push.drop", "redelivered", ...
    message_id: str
    task_id: str | None = None  # TaskResult.id
    subscription: str  # full names: projects/P/subscriptions/S
    topic: str = field(repr=False)
    sent_at: datetime = field(repr=False)
    finished_at: datetime | None = field(repr=False)  # None: under way


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message for one subscription. Times are aware, by the emulator's clock."""

    task: str | None  # the task's name in its route; None: no task of asgi_tasks
    state: State
    attempts: int  # deliveries begun
    message_id: str
    task_id: str | None  # TaskResult.id
    subscription: str  # full names: projects/P/subscriptions/S
    topic: str
    ordering_key: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False, hash=False)
    published_at: datetime = field(repr=False)
    deliveries: tuple[Delivery, ...] = field(repr=False)  # in the order they began


def message_from(document: Mapping[str, Any]) -> Message:
    """A message of the emulator's JSON."""
    attributes = document["attributes"]
    whose = {
        "task": attributes.get("task_name"),
        "task_id": attributes.get("task_id"),
        "message_id": document["message_id"],
        "subscription": document["subscription"],
        "topic": document["topic"],
    }
    return Message(
        **whose,
        state=document["state"],
        attempts=document["attempts"],
        ordering_key=document["ordering_key"],
        attributes=MappingProxyType(attributes),
        published_at=datetime.fromisoformat(document["published_at"]),
        deliveries=tuple(_delivery_from(one, whose) for one in document["deliveries"]),
    )


def _delivery_from(document: Mapping[str, Any], whose: Mapping[str, Any]) -> Delivery:
    finished_at = document["finished_at"]
    return Delivery(
        **whose,
        attempt=document["attempt"],
        status=document["status"],
        error=document["error"],
        fault=document["fault"],
        sent_at=datetime.fromisoformat(document["sent_at"]),
        finished_at=None if finished_at is None else datetime.fromisoformat(finished_at),
    )
