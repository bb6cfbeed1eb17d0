"""The keys that sign tokens. Made at start and while it runs, never written down."""

import asyncio
from collections.abc import Mapping
from typing import Final

from asgi_tasks.emulator.push.keys import SigningKey

LONGEST_MAX_AGE: Final = 3600


class Keyring:
    """
    The key that signs, the one before and the one after it: who caches the certificates no longer
    than they may be always has the key of a fresh token.
    """

    def __init__(self, *, rotated_every: float | None = None) -> None:
        self.current = SigningKey()
        self._previous: SigningKey | None = None
        self._next: SigningKey | None = None
        self._rotated_every = rotated_every

    @property
    def max_age(self) -> int:
        """How many seconds the certificates may be cached."""
        return int(min(self._rotated_every or LONGEST_MAX_AGE, LONGEST_MAX_AGE))

    async def rotate(self) -> None:
        """Until it is cancelled. Each key is shown for a whole period before it signs."""
        while self._rotated_every is not None:
            self._next = await asyncio.to_thread(SigningKey)
            await asyncio.sleep(self._rotated_every)
            self._previous, self.current, self._next = self.current, self._next, None

    def certificates(self) -> dict[str, str]:
        """As at https://www.googleapis.com/oauth2/v1/certs: key id to PEM."""
        return {key.kid: key.pem for key in self._shown()}

    def key_set(self) -> dict[str, list[Mapping[str, str]]]:
        """As at https://www.googleapis.com/oauth2/v3/certs: JSON Web Keys."""
        return {"keys": [key.jwk() for key in self._shown()]}

    def _shown(self) -> list[SigningKey]:
        return [key for key in (self._previous, self.current, self._next) if key is not None]
