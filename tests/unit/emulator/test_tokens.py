"""The tokens on pushes, read the way a receiver would: by Google's own library and by PyJWT."""

import asyncio
import json

import jwt
import pytest
from google.auth import jwt as google_jwt

from asgi_tasks.emulator.push.keyring import Keyring
from asgi_tasks.emulator.push.tokens import TokenMint
from tests.unit.emulator.scene import StoppedClock

ACCOUNT = "invoker@p.iam.gserviceaccount.com"
AUDIENCE = "https://example.com/tasks/pubsub/"
NOW = 1_700_000_000


@pytest.fixture(scope="module")
def keyring():
    return Keyring()


@pytest.fixture
def clock():
    return StoppedClock(NOW + 0.9)


@pytest.fixture
def mint(keyring, clock):
    return TokenMint(keyring, clock=clock)


def token(mint, account=ACCOUNT, audience=AUDIENCE):
    return mint.token(service_account=account, audience=audience)


def test_token_has_googles_claims(mint):
    claims = jwt.decode(token(mint), options={"verify_signature": False})
    assert claims.pop("sub") == claims.pop("azp")
    assert claims == {
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        "exp": NOW + 3600,
        "iat": NOW,
        "iss": "https://accounts.google.com",
    }


def test_token_has_googles_header(mint, keyring):
    header = jwt.get_unverified_header(token(mint))
    assert header == {"alg": "RS256", "kid": keyring.current.kid, "typ": "JWT"}


def subject(token):
    return jwt.decode(token, options={"verify_signature": False})["sub"]


def test_account_is_named_by_a_number_like_googles(mint):
    assert subject(token(mint)).isdecimal()
    assert len(subject(token(mint))) == 21


def test_number_of_an_account_is_its_own_and_stays(mint, keyring):
    assert subject(token(mint)) == subject(token(TokenMint(keyring)))
    assert subject(token(mint)) != subject(token(mint, "other@p"))


def test_token_verifies_against_the_published_certificate(keyring):
    certificates = keyring.certificates()
    claims = google_jwt.decode(token(TokenMint(keyring)), certs=certificates, audience=AUDIENCE)
    assert claims["email"] == ACCOUNT


def test_token_verifies_against_the_published_key_set(keyring):
    [jwk] = jwt.PyJWKSet.from_json(json.dumps(keyring.key_set())).keys
    claims = jwt.decode(
        token(TokenMint(keyring)),
        jwk,
        algorithms=["RS256"],
        audience=AUDIENCE,
        issuer="https://accounts.google.com",
    )
    assert jwk.key_id == keyring.current.kid
    assert claims["email"] == ACCOUNT


def test_token_of_another_emulator_does_not_verify(keyring):
    others = token(TokenMint(Keyring()))
    with pytest.raises(ValueError, match="not found"):
        google_jwt.decode(others, certs=keyring.certificates(), audience=AUDIENCE)


def test_token_is_shared_for_50_minutes(mint, clock):
    first = token(mint)
    clock.now += 2_999
    assert token(mint) == first


def test_token_is_renewed_after_50_minutes(mint, clock):
    first = token(mint)
    clock.now += 3_000
    assert token(mint) != first


def test_renewed_token_is_shared_again(mint, clock):
    token(mint)
    clock.now += 3_000
    second = token(mint)
    clock.now += 2_999
    assert token(mint) == second


@pytest.mark.parametrize(
    ("account", "audience"), [("other@p", AUDIENCE), (ACCOUNT, "https://other.example/")]
)
def test_token_is_not_shared_between_accounts_or_audiences(mint, account, audience):
    assert token(mint) != token(mint, account, audience)


async def test_token_is_renewed_when_the_key_rotates(clock):
    keyring = Keyring(rotated_every=0.01)
    mint = TokenMint(keyring, clock=clock)
    first, first_key = token(mint), keyring.current
    rotation = asyncio.create_task(keyring.rotate())
    async with asyncio.timeout(10):
        while keyring.current is first_key:  # noqa: ASYNC110 - it announces nothing
            await asyncio.sleep(0.001)
    rotation.cancel()
    assert token(mint) != first
    assert jwt.get_unverified_header(token(mint))["kid"] == keyring.current.kid
    assert jwt.get_unverified_header(first)["kid"] in keyring.certificates()
