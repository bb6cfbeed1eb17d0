"""OIDC tokens as Google signs them for pushes."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from asgi_tasks.emulator.push.keyring import Keyring
from asgi_tasks.emulator.push.keys import SigningKey

ISSUER = "https://accounts.google.com"
LIFETIME = 3600
RENEWED_AFTER = 3000


@dataclass(frozen=True, slots=True)
class _Minted:
    token: str
    at: float
    key: SigningKey


class TokenMint:
    """Tokens for service accounts; as with Google, one is shared by many pushes."""

    def __init__(self, keyring: Keyring, *, clock: Callable[[], float] = time.time) -> None:
        self._keyring = keyring
        self._clock = clock
        self._minted: dict[tuple[str, str], _Minted] = {}

    def token(self, *, service_account: str, audience: str) -> str:
        known = self._minted.get((service_account, audience))
        if known is None or self._is_old(known):
            known = self._mint(service_account, audience)
            self._minted[service_account, audience] = known
        return known.token

    def _is_old(self, minted: _Minted) -> bool:
        rotated = minted.key is not self._keyring.current
        return rotated or self._clock() - minted.at >= RENEWED_AFTER

    def _mint(self, service_account: str, audience: str) -> _Minted:
        now, key = self._clock(), self._keyring.current
        account_id = _account_id(service_account)
        claims = {
            "aud": audience,
            "azp": account_id,
            "email": service_account,
            "email_verified": True,
            "exp": int(now) + LIFETIME,
            "iat": int(now),
            "iss": ISSUER,
            "sub": account_id,
        }
        return _Minted(key.sign(claims), now, key)


def _account_id(service_account: str) -> str:
    """A number like Google's unique id of an account, always the same for one address."""
    digest = hashlib.sha256(service_account.encode()).digest()
    return str(10**20 + int.from_bytes(digest[:8]))
