"""Which delivery this code works on, for log lines: known in its coroutines and its threads."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType

type Fields = Mapping[str, str | int]


class working_on:  # noqa: N801 - a context manager
    """Have fields() return these meanwhile, here and in what is started here."""

    __slots__ = ("_fields", "_token")

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token: Token[Fields] = _fields.set(self._fields)

    def __exit__(self, *error: object) -> None:
        _fields.reset(self._token)


def fields() -> Fields:
    """task_name, task_id, message_id and attempt; trace (32 hexadecimal digits) if there is one."""
    return _fields.get()


_fields: ContextVar[Fields] = ContextVar("asgi_tasks.current", default=MappingProxyType({}))
