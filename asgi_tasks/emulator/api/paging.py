"""Page tokens."""

from collections.abc import Callable
from typing import Final

from asgi_tasks.emulator.api.checks import Protobuf
from asgi_tasks.emulator.errors import InvalidArgument

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000


def page[T](items: list[T], request: Protobuf, name: Callable[[T], str]) -> tuple[list[T], str]:
    """One page of items sorted by name; the token is the last name of the page before."""
    if request.page_size < 0:
        raise InvalidArgument("page_size: must not be negative.")
    size = min(request.page_size or PAGE_SIZE, MAX_PAGE_SIZE)
    rest = [item for item in items if name(item) > request.page_token]
    page = rest[:size]
    return page, name(page[-1]) if len(rest) > size else ""
