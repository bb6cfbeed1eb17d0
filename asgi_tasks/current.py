"""Which delivery this code works on, for log lines: known in its coroutines and its threads."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

type Fields = Mapping[str, str | int]


@contextmanager
def working_on(fields: Fields) -> Iterator[None]:
    """Have fields() return these meanwhile, here and in what is started here."""
    token = _fields.set(fields)
    try:
        yield
    finally:
        _fields.reset(token)


def fields() -> Fields:
    """task_name, task_id, message_id and attempt; trace (32 hexadecimal digits) if there is one."""
    return _fields.get()


_fields: ContextVar[Fields] = ContextVar("asgi_tasks.current", default=MappingProxyType({}))
