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
        self._awaited = False

    def ring(self) -> None:
        if self._awaited:
            self._awaited = False
            self._rung.set()
            self._rung = asyncio.Event()

    async def wait(self, seconds: float | None) -> None:
        self._awaited = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
