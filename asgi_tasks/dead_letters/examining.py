"""What a dead letter is, whether it is genuine, and what keeps it from being replayed: pure."""

import enum
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from ..exceptions import PushRefused, TaskNotFound
from ..messages import IDENTIFIER, TASK_NAME, PushEnvelope, TaskMessage, is_signed
from ..routes import RouteTable, TaskRoute
from .letters import DeadLetter


class Signature(enum.StrEnum):
    """What became of the question who made the message."""

    GOOD = "good"
    WRONG = "wrong"
    MISSING = "missing"
    NOT_NEEDED = "not needed"  # signed=False
    UNKNOWN = "unknown"  # the message cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A dead letter and what is known of it."""

    letter: DeadLetter
    message: TaskMessage | None  # None: it cannot be read
    signature: Signature
    topic: str = ""  # where a replay would publish it
    distrust: str = ""  # why nothing vouches for it; somebody may: --resign
    refusal: str = ""  # why it cannot be replayed, whoever vouches for it

    @property
    def task_name(self) -> str:
        """The task's name, of an unreadable message as its attributes claim; it may be empty."""
        if self.message:
            return self.message.task_name
        claimed = self.letter.attributes.get("task_name", "")
        return claimed if TASK_NAME.fullmatch(claimed) else ""

    @property
    def task_id(self) -> str:
        """As task_name()."""
        if self.message:
            return self.message.task_id
        claimed = self.letter.attributes.get("task_id", "")
        return claimed if IDENTIFIER.fullmatch(claimed) else ""

    @property
    def enqueued_at(self) -> datetime | None:
        """When enqueue() was called, or else when the message was published."""
        return self.message.enqueued_at if self.message else self.letter.published_at

    @property
    def log_query(self) -> str:
        """What finds its errors, in the language of Cloud Logging.

        https://cloud.google.com/logging/docs/view/logging-query-language
        """
        if self.message:
            return f'jsonPayload.task_id="{self.message.task_id}" AND severity>=WARNING'
        # The log has no task id of what cannot be read: all that its subscription was refused.
        source = json.dumps(self.letter.source_subscription)
        terms = ['jsonPayload.outcome="refused"', f"jsonPayload.subscription={source}"]
        if begin := self.letter.published_at:
            terms.append(f'timestamp>="{_iso(begin)}"')
        return " AND ".join([*terms, f'timestamp<="{_iso(self.letter.died_at)}"'])


def examine(letter: DeadLetter, table: RouteTable) -> Examined:
    """What the push endpoint would say of it."""
    try:
        message = TaskMessage.decode(letter.data)
    except PushRefused as error:
        return Examined(
            letter=letter, message=None, signature=Signature.UNKNOWN, refusal=str(error)
        )
    route, refusal = _route(message, table)
    signature = _signature(letter, message, route, table)
    return Examined(
        letter=letter,
        message=message,
        signature=signature,
        topic=table.topic(message.task_name) if route else "",
        distrust=_distrust(letter, message, signature, table),
        refusal=refusal,
    )


def _route(message: TaskMessage, table: RouteTable) -> tuple[TaskRoute | None, str]:
    try:
        route = table.resolve(message.task_name)
        route.bind(message.args, message.kwargs)
    except TaskNotFound as error:
        return None, str(error)
    except TypeError as error:
        return route, f"{message.task_name} does not take these arguments: {error}"
    return route, ""


def _signature(
    letter: DeadLetter, message: TaskMessage, route: TaskRoute | None, table: RouteTable
) -> Signature:
    if route and not route.signed:
        return Signature.NOT_NEEDED
    envelope = PushEnvelope(
        data=letter.data,
        attributes=dict(letter.attributes),
        message_id=letter.message_id,
        subscription=letter.source_subscription,
    )
    if is_signed(message, envelope, table.options.signing_keys):
        return Signature.GOOD
    return Signature.WRONG if "signature" in letter.attributes else Signature.MISSING


def _distrust(
    letter: DeadLetter, message: TaskMessage, signature: Signature, table: RouteTable
) -> str:
    if signature in {Signature.WRONG, Signature.MISSING}:
        return f"its signature is {signature}"
    # As on receipt: who may feed an open route through its own topic may not do so through another.
    if letter.source_subscription != table.subscription(message.task_name):
        came = letter.source_subscription or "nobody knows where"
        return f"it came from {came}, not from the subscription of {message.task_name}"
    return ""


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
