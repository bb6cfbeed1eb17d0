"""Tasks that begin at once, so that what need not wait ends without another turn of the loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def start[T](coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of the running loop that has gone as far as it could without waiting.

    https://docs.python.org/3/library/asyncio-task.html#asyncio.Task
    """
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
