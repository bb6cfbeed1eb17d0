"""Wakes whoever waits for the broker to change."""

import asyncio
from contextlib import suppress


class Bell:
    """
    Every ring wakes all who wait at that moment. Who looks at the broker and then waits, without
    an await in between, misses none: all of it happens on one event loop.
    """

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
