"""What is PushTokenVerifier's alone; tests/security has the tokens and the certificates."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from asgi_tasks.exceptions import PermissionDenied, Unauthenticated
from asgi_tasks.oidc import MAX_CACHED_TOKENS, PushTokenVerifier
from tests.security.forgeries import (
    AUDIENCE,
    CORPUS,
    HOUR,
    IMPOSTOR,
    MISSING,
    SIGNER,
    aged,
    bearer,
    by_algorithm,
    respelled,
    token,
)
from tests.tokens import ACCOUNT, Clock, make_certificate


def make_verifier(certificates, service_account=ACCOUNT, clock=time.time):
    return PushTokenVerifier(
        audience=AUDIENCE, service_account=service_account, certificates=certificates, clock=clock
    )


class AnyKey:
    """Certificates that know one under every key id, and count how often they are asked."""

    def __init__(self, certificate=SIGNER.certificate):
        self.certificate = certificate
        self.asked = 0

    async def get(self, key_id):
        self.asked += 1
        return self.certificate


class TestVerify:
    @pytest.mark.parametrize("account", ["", "None", "null"])
    async def test_token_without_email_fits_no_account(self, account):
        with pytest.raises(PermissionDenied):
            await make_verifier(AnyKey(), account).verify(bearer(email=MISSING))

    async def test_denied_token_is_denied_again(self):
        verifier, authorization = make_verifier(AnyKey()), bearer(email="x@y.example")
        for _ in range(2):
            with pytest.raises(PermissionDenied):
                await verifier.verify(authorization)

    async def test_every_bad_token_is_bad_by_itself_whichever_key_is_known(self):
        verifier = make_verifier(AnyKey())
        for name, make in CORPUS[401].items():
            if name not in ("kid unknown", "kid a path"):  # wrong only because nobody knows them
                with pytest.raises(Unauthenticated):
                    await verifier.verify(make())

    async def test_algorithm_is_not_the_keys_to_choose(self):
        key = ec.generate_private_key(ec.SECP256R1())
        with pytest.raises(Unauthenticated):
            await make_verifier(AnyKey(make_certificate(key))).verify(by_algorithm("ES256", key))

    async def test_key_of_another_kind_verifies_nothing(self):
        key = ec.generate_private_key(ec.SECP256R1())
        with pytest.raises(Unauthenticated):
            await make_verifier(AnyKey(make_certificate(key))).verify(bearer())

    async def test_token_is_read_before_any_certificate_is_asked_for(self):
        keys = AnyKey()
        with pytest.raises(Unauthenticated):
            await make_verifier(keys).verify(bearer(iss="evil"))
        assert keys.asked == 0


class TestVerifiedTokens:
    async def test_accepted_token_is_not_verified_again(self):
        keys, authorization = AnyKey(), bearer()
        verifier = make_verifier(keys)
        for _ in range(100):
            await verifier.verify(authorization)
        assert keys.asked == 1

    async def test_token_past_its_expiry_is_verified_again(self):
        keys, authorization = AnyKey(), aged(HOUR + 5)
        verifier = make_verifier(keys)
        for _ in range(2):
            await verifier.verify(authorization)
        assert keys.asked == 2

    async def test_accepted_token_is_refused_once_it_has_expired(self):
        keys, clock, authorization = AnyKey(), Clock(time.time()), bearer()
        verifier = make_verifier(keys, clock=clock)
        await verifier.verify(authorization)
        clock.now += HOUR - 5
        await verifier.verify(authorization)
        assert keys.asked == 1
        clock.now += 20
        with pytest.raises(Unauthenticated):
            await verifier.verify(authorization)

    @pytest.mark.parametrize("seconds", [-5, 5])
    async def test_clock_five_seconds_off_refuses_no_token(self, seconds):
        verifier = make_verifier(AnyKey(), clock=lambda: time.time() + seconds)
        for age in (0, 1800, HOUR - 1):
            await verifier.verify(aged(age))

    @pytest.mark.parametrize(("seconds", "age"), [(-61, 0), (61, HOUR - 1)])
    async def test_clock_a_minute_off_has_its_price(self, seconds, age):
        verifier = make_verifier(AnyKey(), clock=lambda: time.time() + seconds)
        with pytest.raises(Unauthenticated):
            await verifier.verify(aged(age))

    async def test_another_token_is_verified_itself(self):
        verifier = make_verifier(AnyKey())
        await verifier.verify(bearer())
        with pytest.raises(Unauthenticated):
            await verifier.verify(bearer(signer=IMPOSTOR))

    async def test_accepted_token_with_another_signature_is_refused(self):
        verifier, good = make_verifier(AnyKey()), token()
        await verifier.verify(f"Bearer {good}")
        signed, _, signature = good.rpartition(".")
        for other in (token(sub="x").rpartition(".")[2], respelled(signature)):
            with pytest.raises(Unauthenticated):
                await verifier.verify(f"Bearer {signed}.{other}")

    async def test_no_more_are_remembered_than_a_thousand(self):
        keys = AnyKey()
        verifier, first = make_verifier(keys), bearer()
        await verifier.verify(first)
        for number in range(1, MAX_CACHED_TOKENS):
            await verifier.verify(bearer(sub=str(number)))
        await verifier.verify(first)
        assert keys.asked == MAX_CACHED_TOKENS == 1000
        await verifier.verify(bearer(sub="one too many"))
        await verifier.verify(first)
        assert keys.asked == 1002
