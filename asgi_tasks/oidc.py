"""Who is calling: the OIDC token that Pub/Sub puts on every push.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

import asyncio
import base64
import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.utils.crypto import constant_time_compare

from . import metrics
from .exceptions import InvalidMessage, PermissionDenied, Unauthenticated, Unavailable
from .messages import load_json

if TYPE_CHECKING:
    from aiohttp import ClientResponse

logger = logging.getLogger("asgi_tasks")

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
BEARER = re.compile(r"bearer ([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII | re.IGNORECASE)
MAX_HEADER_CHARACTERS = 4096
MAX_CERTIFICATES_BYTES = 1_000_000
MAX_CACHED_TOKENS = 1000
# Seconds:
TOKEN_LIFE = 3600
CLOCK_SKEW = 10
FETCH_TIMEOUT = 10
PATIENCE = 1  # with a fetch, of pushes whose key is known but out of date
REFETCH_INTERVAL = 60  # between fetches for the sake of an unknown key
SHORTEST_LIFE = 1  # of certificates, whatever is said of them
RETRY_INTERVAL = 5  # after a fetch that failed
STALE_LIFE = 86_400  # certificates serve this much longer if none are to be had


class PushTokenVerifier:
    """Accepts Google's tokens for one audience and one service account, and no other.

    The account is the authorization: any Google customer can have Google sign a token for our
    audience.
    """

    def __init__(
        self,
        *,
        audience: str,
        service_account: str,
        certificates: "Certificates",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock`` counts seconds since 1970."""
        self._audience = audience
        self._service_account = service_account
        self._certificates = certificates
        self._clock = clock
        # Each header's exp: Pub/Sub sends one token many times.
        self._verified: dict[str, int] = {}

    async def verify(self, authorization: str) -> None:
        """Return if this Authorization header is Pub/Sub's.

        Raise Unauthenticated, PermissionDenied, or Unavailable without certificates to check with.
        """
        if self._verified.get(authorization, 0) > self._clock():
            return
        token = _bearer_token(authorization)
        header, payload, signature = map(_decode_part, token.split("."))
        key_id, claims = _check_header(_load_object(header)), _load_object(payload)
        self._check_times(claims)
        self._check_parties(claims)
        certificate = await self._certificates.get(key_id)
        _check_signature(token.rpartition(".")[0], signature, certificate)
        self._check_account(claims)
        self._remember(authorization, claims["exp"])

    def _check_times(self, claims: dict[str, Any]) -> None:
        moments: list[Any] = [claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)]
        if not all(type(moment) is int for moment in moments):  # not True either, nor 1.0
            raise Unauthenticated("a time in the token is missing or not an integer")
        issued, expires, not_before = moments
        if not 0 < expires - issued <= TOKEN_LIFE + CLOCK_SKEW:
            raise Unauthenticated("the times in the token are over an hour apart, or reversed")
        now = self._clock()
        if max(issued, not_before) > now + CLOCK_SKEW:
            raise Unauthenticated("the token is not valid yet")
        if expires < now - CLOCK_SKEW:
            raise Unauthenticated("the token has expired")

    def _check_parties(self, claims: dict[str, Any]) -> None:
        if claims.get("iss") not in ISSUERS:
            raise Unauthenticated("the token is not issued by Google")
        if claims.get("aud") != self._audience:
            raise Unauthenticated("the token is for another audience")

    def _check_account(self, claims: dict[str, Any]) -> None:
        email = claims.get("email")
        is_ours = isinstance(email, str) and constant_time_compare(email, self._service_account)
        if not is_ours or claims.get("email_verified") is not True:
            raise PermissionDenied("the token is of another account than push_service_account")

    def _remember(self, authorization: str, expiry: int) -> None:
        if len(self._verified) >= MAX_CACHED_TOKENS:
            self._verified.clear()
        self._verified[authorization] = expiry


class Certificates:
    """Google's public keys, fetched when needed and kept as long as Google says.

    ``clock`` counts seconds.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._by_key: dict[str, str] = {}
        self._fresh_until = 0.0
        self._next_fetch = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._fetching_since = 0.0

    async def get(self, key_id: str) -> str:
        """The certificate (PEM) of a key. Raise Unauthenticated if unknown, or Unavailable."""
        if key_id not in self._by_key or not self._is_fresh():
            await self._refresh(key_id)
        if not self._has_any():
            raise Unavailable("there are no certificates to check the token with")
        try:
            return self._by_key[key_id]
        except KeyError:
            if not self._is_fresh():
                raise Unavailable("the certificates are out of date") from None
            raise Unauthenticated("the token is signed with an unknown key") from None

    def _is_fresh(self) -> bool:
        return self._clock() < self._fresh_until

    def _has_any(self) -> bool:
        return bool(self._by_key) and self._clock() < self._fresh_until + STALE_LIFE

    async def _refresh(self, key_id: str) -> None:
        """Wait for the fetch under way, or for a new one unless it is too early for that."""
        loop = asyncio.get_running_loop()
        if self._fetching is None or self._fetching.get_loop() is not loop:
            if self._clock() < self._next_fetch:
                return
            self._fetching = loop.create_task(self._fetch())
            self._fetching_since = self._clock()
        # Neither the end of this wait nor the caller's cancellation ends the fetch.
        await asyncio.wait({self._fetching}, timeout=self._patience(key_id))

    def _patience(self, key_id: str) -> float | None:
        """How many seconds to wait for the fetch under way; None: until it ends."""
        if key_id not in self._by_key or not self._has_any():
            return None
        return max(0.0, self._fetching_since + PATIENCE - self._clock())

    async def _fetch(self) -> None:
        try:
            self._by_key, life = await _download(self._url)
            self._fresh_until = self._clock() + life
            self._next_fetch = self._clock() + min(life, REFETCH_INTERVAL)
            metrics.count_certificates_fetch()
        except Exception as error:
            # While the keys are fresh it was for the sake of an unknown one.
            fresh_for = self._fresh_until - self._clock()
            pause = max(RETRY_INTERVAL, min(fresh_for, REFETCH_INTERVAL))
            self._next_fetch = self._clock() + pause
            logger.warning("Certificates could not be fetched from %s: %r", self._url, error)
            metrics.count_certificates_fetch(error)
        finally:
            if self._fetching is asyncio.current_task():  # else another loop's is under way
                self._fetching = None


async def _download(url: str) -> tuple[dict[str, str], float]:
    """The certificates at the URL by key id, and how many seconds they are good for."""
    from aiohttp import ClientSession, ClientTimeout

    async with (
        ClientSession(timeout=ClientTimeout(total=FETCH_TIMEOUT)) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        by_key = load_json(await _read(response)) if response.status == 200 else None
        if not isinstance(by_key, dict) or not all(map(_is_certificate, by_key.values())):
            raise ValueError(f"status {response.status}, no certificates by key id")
        if not by_key:
            raise ValueError("no certificates in the answer")
        return by_key, _max_age(response.headers.get("Cache-Control", ""))


async def _read(response: "ClientResponse") -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_CERTIFICATES_BYTES:
            raise ValueError(f"more than {MAX_CERTIFICATES_BYTES:,} bytes of certificates")
    return bytes(body)


def _is_certificate(value: object) -> bool:
    """Whether its public key can be read. Raise ValueError if the certificate cannot."""
    from cryptography.x509 import load_pem_x509_certificate

    return isinstance(value, str) and bool(load_pem_x509_certificate(value.encode()).public_key())


def _max_age(cache_control: str) -> float:
    found = re.search(r"max-age=(\d{1,9})", cache_control)
    return max(SHORTEST_LIFE, min(int(found[1]), STALE_LIFE)) if found else TOKEN_LIFE


def _bearer_token(authorization: str) -> str:
    if len(authorization) > MAX_HEADER_CHARACTERS:
        raise Unauthenticated("the Authorization header is too long")
    found = BEARER.fullmatch(authorization)
    if not found:
        raise Unauthenticated("no bearer token" if not authorization else "malformed token")
    return found[1]


def _decode_part(part: str) -> bytes:
    """Strict base64url: of all texts that decode to the same bytes only one is accepted."""
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise Unauthenticated("malformed token") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise Unauthenticated("malformed token")
    return decoded


def _load_object(part: bytes) -> dict[str, Any]:
    try:
        document = load_json(part)
    except InvalidMessage as error:
        raise Unauthenticated("malformed token") from error
    if not isinstance(document, dict):
        raise Unauthenticated("malformed token")
    return document


def _check_header(header: dict[str, Any]) -> str:
    """The key id of a token's header."""
    key_id = header.get("kid")
    if header.get("alg") != "RS256" or not isinstance(key_id, str) or not 0 < len(key_id) <= 128:
        raise Unauthenticated("the token is not signed as Google signs: RS256, with a key id")
    if header.keys() & {"crit", "b64", "jwk", "jku", "x5u", "x5c"}:
        raise Unauthenticated("the header of the token has extensions")
    return key_id


def _check_signature(signed: str, signature: bytes, certificate: str) -> None:
    from google.auth import crypt

    try:
        is_right = crypt.verify_signature(signed, signature, certificate)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError) as error:  # a key of another kind
        raise Unauthenticated("the key of the token is not an RSA key") from error
    if not is_right:
        raise Unauthenticated("the signature of the token is wrong")
