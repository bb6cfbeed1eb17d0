"""Who pushes in a test: tokens signed with a key made here, which nothing but a test trusts."""

import base64
import functools
import json
import time
from typing import TYPE_CHECKING, Any

from ..conf import BackendOptions
from ..exceptions import Unauthenticated
from ..oidc import Certificates, PushTokenVerifier

if TYPE_CHECKING:
    from ..emulator.push.keyring import Keyring


def make_verifier(options: BackendOptions) -> PushTokenVerifier:
    """As in production, but with this process's own certificate instead of Google's."""
    return PushTokenVerifier(
        audience=options.audience,
        service_account=options.push_service_account,
        certificates=_OwnCertificates(""),
        clock=_now,
    )


def make_token(options: BackendOptions, claims: dict[str, Any]) -> str:
    """A token as Pub/Sub's; a claim takes the place of the right one, None leaves it out."""
    from ..emulator.push.tokens import TokenMint

    # A new one each time: a test may move the clock.
    mint = TokenMint(_keyring(), clock=_now)
    token = mint.token(service_account=options.push_service_account, audience=options.audience)
    if not claims:
        return token
    merged = {**_claims(token), **claims}
    return _keyring().current.sign({k: v for k, v in merged.items() if v is not None})


class _OwnCertificates(Certificates):
    async def get(self, key_id: str) -> str:
        try:
            return _keyring().certificates()[key_id]
        except KeyError:
            raise Unauthenticated("the token is signed with an unknown key") from None


@functools.cache
def _keyring() -> "Keyring":
    """One for all tests: making the key takes a tenth of a second."""
    from ..emulator.push.keyring import Keyring

    return Keyring()


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims


def _now() -> float:
    return time.time()  # looked up each time: a test may have replaced it
