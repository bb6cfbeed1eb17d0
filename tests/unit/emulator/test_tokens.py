"""The tokens on pushes, read the way a receiver would: by Google's own library."""

import json

import jwt
import pytest
from google.auth import jwt as google_jwt

from asgi_tasks.emulator.tokens import SigningKey, TokenMint

ACCOUNT = "invoker@p.iam.gserviceaccount.com"
AUDIENCE = "https://example.com/tasks/pubsub/"


@pytest.fixture(scope="module")
def key():
    return SigningKey()


def test_token_has_googles_claims_and_header(key):
    now = 1_700_000_000
    token = TokenMint(key, clock=lambda: now + 0.9).token(
        service_account=ACCOUNT, audience=AUDIENCE
    )
    claims = jwt.decode(token, options={"verify_signature": False})

    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": key.kid, "typ": "JWT"}
    assert claims.pop("sub") == claims.pop("azp")
    assert claims == {
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        "exp": now + 3600,
        "iat": now,
        "iss": "https://accounts.google.com",
    }


def test_token_verifies_against_the_published_certificate(key):
    token = TokenMint(key).token(service_account=ACCOUNT, audience=AUDIENCE)
    claims = google_jwt.decode(token, certs=key.certificates(), audience=AUDIENCE)
    assert claims["email"] == ACCOUNT


def test_token_verifies_against_the_published_key_set(key):
    token = TokenMint(key).token(service_account=ACCOUNT, audience=AUDIENCE)
    [jwk] = jwt.PyJWKSet.from_json(json.dumps(key.key_set())).keys
    claims = jwt.decode(
        token, jwk, algorithms=["RS256"], audience=AUDIENCE, issuer="https://accounts.google.com"
    )
    assert jwk.key_id == key.kid
    assert claims["email"] == ACCOUNT


def test_token_of_another_emulator_does_not_verify(key):
    token = TokenMint(SigningKey()).token(service_account=ACCOUNT, audience=AUDIENCE)
    with pytest.raises(ValueError, match="not found"):
        google_jwt.decode(token, certs=key.certificates(), audience=AUDIENCE)


def test_token_is_shared_until_it_is_renewed(key):
    now = [1_700_000_000.0]
    mint = TokenMint(key, clock=lambda: now[0])
    first = mint.token(service_account=ACCOUNT, audience=AUDIENCE)
    now[0] += 2_999
    assert mint.token(service_account=ACCOUNT, audience=AUDIENCE) == first
    now[0] += 1
    assert mint.token(service_account=ACCOUNT, audience=AUDIENCE) != first


def test_token_is_not_shared_between_accounts_or_audiences(key):
    mint = TokenMint(key)
    pairs = [(ACCOUNT, AUDIENCE), ("other@p", AUDIENCE), (ACCOUNT, "https://other.example/")]
    assert len({mint.token(service_account=one, audience=two) for one, two in pairs}) == 3
