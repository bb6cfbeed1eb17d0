"""Faults on request: which operation is to go wrong, decided by rate and seed or by number."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Any, Final

from asgi_tasks.emulator.broker.names import full_name
from asgi_tasks.emulator.errors import REFUSALS, InvalidArgument

LONGEST: Final = 3600.0  # seconds


class Kind(StrEnum):
    """What can go wrong; the part before the dot says with which operation."""

    PUSH_FAIL = "push.fail"  # not sent, counts as answered with a status
    PUSH_DROP = "push.drop"  # not sent, comes again after its ack deadline
    PUSH_DUPLICATE = "push.duplicate"  # sent twice at once
    PUSH_DELAY = "push.delay"  # sent later
    PUSH_REORDER = "push.reorder"  # sent after one that was published later
    PUSH_CLOSE = "push.close"  # sent, and the connection closed before the answer
    PUBLISH_ERROR = "publish.error"  # refused with a status
    PUBLISH_HANG = "publish.hang"  # not answered for a while, then refused
    PUBLISH_CLOSE = "publish.close"  # the connection closed, nothing published
    PUBLISH_LOSE_RESPONSE = "publish.lose_response"  # published, and the connection closed
    CALL_ERROR = "call.error"  # any call refused with a status
    CALL_DELAY = "call.delay"  # any call answered later

    @property
    def operation(self) -> str:
        return self.value.partition(".")[0]

    def named(self, project: str, name: str) -> str:
        """What it happens to, by its full name; a call has but one."""
        if self.operation == "call":
            return name
        kind = "subscriptions" if self.operation == "push" else "topics"
        full = full_name(project, kind, name)
        if f"/{kind}/" not in full:
            raise InvalidArgument(f"resource: {self} happens to {kind}, not to {name!r}.")
        return full


# The status or the seconds a kind has by default, and the statuses it may have.
STATUSES: Final = {
    Kind.PUSH_FAIL: (503, range(300, 600)),
    Kind.PUBLISH_ERROR: (503, (429, 503)),
    Kind.CALL_ERROR: (503, REFUSALS),
}
SECONDS: Final = {
    Kind.PUSH_DELAY: 1.0,
    Kind.PUSH_REORDER: 1.0,
    Kind.PUBLISH_HANG: LONGEST,
    Kind.CALL_DELAY: 1.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    kind: Kind
    rate: float = 1.0
    count: int | None = None  # how often it still happens; None: for ever
    resource: str | None = None  # the one topic, subscription or call (CreateTopic) it happens to
    status: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        _check("rate", self.rate, 0 < self.rate <= 1, "more than 0 and at most 1")
        if self.count is not None:
            _check("count", self.count, self.count >= 1, "at least 1")
        self._check_status()
        self._check_seconds()

    def fits(self, operation: str, resource: str) -> bool:
        return self.kind.operation == operation and self.resource in (None, resource)

    def _check_status(self) -> None:
        default, allowed = STATUSES.get(self.kind, (None, ()))
        if self.status is None:
            object.__setattr__(self, "status", default)
        elif self.status not in allowed:
            shown = ", ".join(map(str, allowed)) if len(allowed) < 10 else "from 300 to 599"
            raise InvalidArgument(f"status: {self.status} is not {shown or f'for {self.kind}'}.")

    def _check_seconds(self) -> None:
        if self.seconds is None:
            object.__setattr__(self, "seconds", SECONDS.get(self.kind))
        elif self.kind not in SECONDS:
            raise InvalidArgument(f"seconds: {self.kind} takes no time.")
        else:
            _check("seconds", self.seconds, 0 < self.seconds <= LONGEST, "more than 0 to 3600")


class Faults:
    """The first fault asked for that fits is drawn; those with a number are used up."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._active.append(fault)

    def clear(self) -> None:
        self._active.clear()

    def reset(self) -> None:
        """None, and the dice as at the start."""
        self.clear()
        self._random.seed(self.seed)

    def active(self) -> list[Fault]:
        return list(self._active)

    def draw(self, operation: str, resource: str) -> Fault | None:
        """What is to go wrong with this operation on this topic or subscription, if anything."""
        for index, fault in enumerate(self._active):
            if fault.fits(operation, resource) and self._random.random() < fault.rate:
                self._use(index, fault)
                return fault
        return None

    def _use(self, index: int, fault: Fault) -> None:
        if fault.count == 1:
            del self._active[index]
        elif fault.count is not None:
            self._active[index] = replace(fault, count=fault.count - 1)


def parse_fault(text: str, project: str) -> Fault:
    """KIND[:NAME=VALUE[,...]], as on the command line: push.duplicate:rate=0.1"""
    kind, _, rest = text.partition(":")
    values = {"kind": kind}
    for name, value in map(_pair, rest.split(",") if rest else []):
        if name in values:
            raise InvalidArgument(f"{name}: is given twice.")
        values[name] = value
    return fault_from(values, project)


def fault_from(values: dict[str, Any], project: str) -> Fault:
    """A fault from what somebody typed or sent as JSON; short names are the project's."""
    unknown = values.keys() - {"kind", *_READERS}
    if unknown:
        raise InvalidArgument(f"{min(unknown)}: a fault has kind, {', '.join(_READERS)}.")
    try:
        kind = Kind(str(values.get("kind")))
    except ValueError:
        raise InvalidArgument(
            f"kind: {values.get('kind')!r} is none of {', '.join(Kind)}."
        ) from None
    given = {name: value for name, value in values.items() if name != "kind" and value is not None}
    read = {name: _read(name, value) for name, value in given.items()}
    if "resource" in read:
        read["resource"] = kind.named(project, read["resource"])
    return Fault(kind=kind, **read)


def _pair(part: str) -> tuple[str, str]:
    name, separator, value = part.partition("=")
    if not separator:
        raise InvalidArgument(f"{part!r} is not NAME=VALUE.")
    return name.strip(), value.strip()


def _read(name: str, value: object) -> Any:
    try:
        if isinstance(value, bool):
            raise TypeError
        return _READERS[name](value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(f"{name}: {value!r} is not {_KINDS[name]}.") from None


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "rate": float,
    "count": _whole,
    "status": _whole,
    "seconds": float,
    "resource": _text,
}
_KINDS: Final = {
    "rate": "a number",
    "count": "a whole number",
    "status": "a whole number",
    "seconds": "a number",
    "resource": "the name of a topic or subscription",
}


def _check(field: str, value: float, fine: bool, wanted: str) -> None:
    if not fine:
        raise InvalidArgument(f"{field}: {value} is not {wanted}.")
