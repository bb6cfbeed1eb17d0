"""Rules that topics, subscriptions and messages share; each refusal names the field."""

import re
from typing import Any, Final

from asgi_tasks.emulator.errors import InvalidArgument, Unimplemented

type Protobuf = Any  # the plain classes behind google.pubsub_v1.types, untyped for lack of stubs

MINUTE: Final = 60
DAY: Final = 24 * 60 * MINUTE

_RESOURCE = re.compile(
    r"projects/[A-Za-z0-9][\w.:-]*/(?P<kind>topics|subscriptions)"
    r"/(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}",
    re.ASCII,
)
_PROJECT = re.compile(r"projects/[A-Za-z0-9][\w.:-]*", re.ASCII)


def checked_name(kind: str, field: str, name: str) -> str:
    """A full resource name of that kind, "topics" or "subscriptions"."""
    match = _RESOURCE.fullmatch(name)
    if match is None or match["kind"] != kind:
        raise InvalidArgument(
            f"{field}: {name!r} is not projects/PROJECT/{kind}/NAME, where NAME has 3 to 255 of "
            "letters, digits and -_.~+%, starts with a letter and not with goog."
        )
    return name


def checked_project(name: str) -> str:
    if _PROJECT.fullmatch(name) is None:
        raise InvalidArgument(f"project: {name!r} is not projects/PROJECT.")
    return name


def check_supported(
    message: Protobuf, supported: frozenset[str], output_only: frozenset[str], prefix: str = ""
) -> None:
    """Drop what only Google sets; what would change behaviour here is refused, not ignored."""
    for field, _ in message.ListFields():
        if field.name in output_only:
            message.ClearField(field.name)
        elif field.name not in supported:
            raise Unimplemented(f"{prefix}{field.name}: the emulator does not support it.")


def merge(request: Protobuf, new: Protobuf, current: Protobuf, immutable: frozenset[str]) -> None:
    """Bring the masked fields of an update's new resource into the current one."""
    if not request.update_mask.paths:
        raise InvalidArgument("update_mask: must name the fields to update.")
    for path in request.update_mask.paths:
        _check_path(path, current.DESCRIPTOR)
        if path.partition(".")[0] in immutable:
            raise InvalidArgument(f"update_mask: {path} cannot be changed.")
    request.update_mask.MergeMessage(new, current, True, True)


def _check_path(path: str, descriptor: Any) -> None:
    kind = descriptor
    for name in path.split("."):
        field = kind.fields_by_name.get(name) if kind is not None else None
        if field is None:
            raise InvalidArgument(f"update_mask: {descriptor.name} has no field {path!r}.")
        kind = None if field.is_repeated else field.message_type


def within[N: (int, float)](field: str, value: N, low: float, high: float) -> N:
    if not low <= value <= high:
        raise InvalidArgument(f"{field}: {value:g} is not within {low:g} to {high:g}.")
    return value


def seconds(duration: Protobuf) -> float:
    return float(duration.seconds) + float(duration.nanos) / 1e9
