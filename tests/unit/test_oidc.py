import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from contextlib import asynccontextmanager

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from asgi_tasks.exceptions import PermissionDenied, Unauthenticated, Unavailable
from asgi_tasks.oidc import Certificates, PushTokenVerifier
from tests.tokens import ACCOUNT, CertificatesServer, Signer, _certificate, encode

AUDIENCE = "https://gyrinx.app/tasks/pubsub/"
HOUR, DAY = 3600, 86_400
MISSING = object()
SIGNER, OTHER = Signer("key-1"), Signer("key-2")
IMPOSTOR = Signer("key-1")  # Google's key id, but not Google's key


def now():
    return int(time.time())


def parts(token):
    """Header and claims of a token."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))


def token(*, header=None, signer=SIGNER, **claims):
    """A good token with some of its parts changed, whatever to, and signed."""
    good_header, good_claims = parts(SIGNER.token(AUDIENCE))
    fields = (good_header | (header or {}), good_claims | claims)
    return signer.sign(
        *({key: value for key, value in each.items() if value is not MISSING} for each in fields)
    )


def bearer(**changes):
    return f"Bearer {token(**changes)}"


def aged(seconds, **claims):
    """A token made so many seconds ago."""
    return bearer(iat=now() - seconds, exp=now() - seconds + HOUR, **claims)


def signed_text(claims):
    """A token of exactly this text."""
    return f"Bearer {SIGNER.sign(parts(token())[0], claims)}"


def twice(name, first):
    """A token whose claims bear a name twice, at last the right one."""
    text = json.dumps(parts(token())[1])
    return signed_text(f'{{"{name}": {json.dumps(first)}, {text[1:]}')


def with_parts(change):
    return f"Bearer {'.'.join(change(*token().split('.')))}"


def by_algorithm(algorithm, key=SIGNER.key):
    """A token really signed with another algorithm."""
    claims = parts(token())[1]
    return f"Bearer {jwt.encode(claims, key, algorithm, headers={'kid': 'key-1'})}"


def keyed_with_certificate(pem):
    """A token signed with HMAC, the public certificate or key being the secret."""
    header, claims = parts(token())
    signed = f"{encode(header | {'alg': 'HS256'})}.{encode(claims)}"
    digest = hmac.new(pem.encode(), signed.encode(), hashlib.sha256).digest()
    return f"Bearer {signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


GOOD = {
    "as Pub/Sub sends it": bearer,
    "scheme in lower case": lambda: f"bearer {token()}",
    "scheme in upper case": lambda: f"BEARER {token()}",
    "issuer without scheme": lambda: bearer(iss="accounts.google.com"),
    "no type": lambda: bearer(header={"typ": MISSING}),
    "unknown claim": lambda: bearer(unknown={"a": [1]}),
    "nearly an hour old": lambda: aged(HOUR - 5),
    "expired within the leeway": lambda: aged(HOUR + 5),
    "issued ahead within the leeway": lambda: aged(-5),
    "valid since now": lambda: bearer(nbf=now()),
    "short life": lambda: bearer(exp=now() + 60),
}
UNAUTHENTICATED = {
    # The header of the request
    "no header": lambda: "",
    "blank header": lambda: " ",
    "scheme alone": lambda: "Bearer",
    "scheme and space": lambda: "Bearer ",
    "token alone": token,
    "Basic": lambda: f"Basic {token()}",
    "scheme run together": lambda: f"Bearer{token()}",
    "two spaces": lambda: f"Bearer  {token()}",
    "tab": lambda: f"Bearer\t{token()}",
    "leading space": lambda: f" Bearer {token()}",
    "trailing space": lambda: f"Bearer {token()} ",
    "trailing newline": lambda: f"Bearer {token()}\n",
    "quoted": lambda: f'Bearer "{token()}"',
    "two headers": lambda: f"{bearer()},{bearer()}",
    "two tokens": lambda: f"{bearer()} {token()}",
    "NUL": lambda: f"{bearer()}\x00",
    "not ASCII": lambda: f"{bearer()}é",
    "Unicode digit": lambda: f"{bearer()}٣",
    "removed by Cloud Run": lambda: with_parts(
        lambda header, claims, _: (header, claims, "SIGNATURE_REMOVED_BY_GOOGLE")
    ),
    "longer than 4096": lambda: bearer(padding="x" * 3500),
    "a megabyte": lambda: f"Bearer {'a' * 2**20}",
    # The shape of the token
    "one part": lambda: "Bearer abc",
    "two parts": lambda: with_parts(lambda header, claims, _: (header, claims)),
    "four parts": lambda: with_parts(lambda *parts: (*parts, "abc")),
    "five parts": lambda: with_parts(lambda *parts: (*parts, "abc", "abc")),
    "empty parts": lambda: "Bearer ..",
    "padding": lambda: f"{bearer()}==",
    "base64 of files": lambda: f"{bearer()[:-1]}+",
    "no base64": lambda: with_parts(lambda _, *rest: ("a", *rest)),
    "no base64 in the signature": lambda: with_parts(lambda *parts: (*parts[:2], parts[2] + "aaa")),
    "no UTF-8": lambda: with_parts(lambda _, *rest: ("_w", *rest)),
    "header no JSON": lambda: with_parts(lambda _, *rest: ("YWJj", *rest)),
    "header a list": lambda: f"Bearer {SIGNER.sign('[]', parts(token())[1])}",
    "claims a list": lambda: signed_text("[]"),
    "claims a string": lambda: signed_text('"x"'),
    "claims null": lambda: signed_text("null"),
    "claims empty": lambda: signed_text("{}"),
    "claims no JSON": lambda: signed_text("{"),
    "claims nested deeply": lambda: signed_text('{"a":' + "[" * 900 + "]" * 900 + "}"),
    # The signature and its algorithm
    "no signature": lambda: with_parts(lambda header, claims, _: (header, claims, "")),
    "another key": lambda: bearer(signer=IMPOSTOR),
    "another known key": lambda: bearer(signer=OTHER),
    "signature of another token": lambda: with_parts(
        lambda header, claims, _: (header, claims, aged(9).split(".")[2])
    ),
    "tampered claims": lambda: with_parts(
        lambda header, _, signature: (header, aged(9).split(".")[1], signature)
    ),
    "tampered header": lambda: with_parts(
        lambda _, claims, signature: (encode({"alg": "RS256", "kid": "key-1"}), claims, signature)
    ),
    "alg none": lambda: bearer(header={"alg": "none"}),
    "alg NoNe": lambda: bearer(header={"alg": "NoNe"}),
    "alg none, no signature": lambda: with_parts(
        lambda _, claims, __: (encode({"alg": "none", "kid": "key-1"}), claims, "")
    ),
    "alg missing": lambda: bearer(header={"alg": MISSING}),
    "alg null": lambda: bearer(header={"alg": None}),
    "alg a list": lambda: bearer(header={"alg": ["RS256"]}),
    "alg in lower case": lambda: bearer(header={"alg": "rs256"}),
    "HS256 keyed with the certificate": lambda: keyed_with_certificate(SIGNER.certificate),
    "HS256 in name alone": lambda: bearer(header={"alg": "HS256"}),
    "RS512": lambda: by_algorithm("RS512"),
    "PS256": lambda: by_algorithm("PS256"),
    "ES256": lambda: by_algorithm("ES256", ec.generate_private_key(ec.SECP256R1())),
    "crit": lambda: bearer(header={"crit": ["x"], "x": 1}),
    "b64": lambda: bearer(header={"b64": False}),
    **{
        f"{name} of the attacker": lambda name=name: bearer(
            header={name: "https://evil.example/keys"}, signer=IMPOSTOR
        )
        for name in ("jwk", "jku", "x5u", "x5c")
    },
    **{
        f"{name} beside a right signature": lambda name=name: bearer(header={name: "x"})
        for name in ("jwk", "jku", "x5u", "x5c")
    },
    # The key
    "kid missing": lambda: bearer(header={"kid": MISSING}),
    "kid null": lambda: bearer(header={"kid": None}),
    "kid empty": lambda: bearer(header={"kid": ""}),
    "kid unknown": lambda: bearer(header={"kid": "key-9"}),
    "kid a path": lambda: bearer(header={"kid": "../../etc/passwd"}),
    "kid a number": lambda: bearer(header={"kid": 1}),
    "kid a list": lambda: bearer(header={"kid": ["key-1"]}),
    "kid an object": lambda: bearer(header={"kid": {}}),
    "kid of 129 characters": lambda: bearer(header={"kid": "k" * 129}),
    "kid twice": lambda: (
        f"Bearer {SIGNER.sign('{"alg":"RS256","kid":"x","kid":"key-1"}', parts(token())[1])}"
    ),
    # The times
    "expired": lambda: aged(HOUR + 15),
    "expired an hour ago": lambda: aged(2 * HOUR),
    "issued in the future": lambda: aged(-15),
    "issued in an hour": lambda: aged(-HOUR),
    "valid from an hour on": lambda: bearer(nbf=now() + HOUR),
    "valid two hours": lambda: bearer(exp=now() + 2 * HOUR),
    "valid ten years": lambda: bearer(exp=now() + 10 * 365 * DAY),
    "expired before it was issued": lambda: bearer(exp=now() - 1, iat=now()),
    **{
        f"{name} {value!r}": lambda name=name, value=value: bearer(**{name: value})
        for name in ("exp", "iat", "nbf")
        for value in (None, "1", "x", [1], {}, True, 1.5, float("nan"), float("inf"))
    },
    "exp as digits": lambda: bearer(exp=str(now() + HOUR)),
    "exp as a float": lambda: bearer(exp=now() + 60.0),
    "exp missing": lambda: bearer(exp=MISSING),
    "exp missing, iat negative": lambda: bearer(exp=MISSING, iat=-10),
    "iat missing": lambda: bearer(iat=MISSING),
    "times of 400 digits": lambda: bearer(iat=10**400, exp=10**400 + HOUR),
    # For whom, by whom
    "aud wrong": lambda: bearer(aud="https://evil.example/"),
    "aud missing": lambda: bearer(aud=MISSING),
    "aud null": lambda: bearer(aud=None),
    "aud empty": lambda: bearer(aud=""),
    "aud a prefix": lambda: bearer(aud=AUDIENCE[:-1]),
    "aud longer": lambda: bearer(aud=AUDIENCE + "x"),
    "aud in upper case": lambda: bearer(aud=AUDIENCE.upper()),
    "aud a list with ours": lambda: bearer(aud=[AUDIENCE]),
    "aud an object": lambda: bearer(aud={AUDIENCE: True}),
    "iss wrong": lambda: bearer(iss="https://evil.example"),
    "iss missing": lambda: bearer(iss=MISSING),
    "iss null": lambda: bearer(iss=None),
    "iss longer": lambda: bearer(iss="https://accounts.google.com.evil.example"),
    "iss with a slash": lambda: bearer(iss="https://accounts.google.com/"),
    "iss by http": lambda: bearer(iss="http://accounts.google.com"),
    "iss a list": lambda: bearer(iss=["https://accounts.google.com"]),
    "iss an object": lambda: bearer(iss={}),
    "email twice": lambda: twice("email", "evil@evil.iam.gserviceaccount.com"),
    "aud twice": lambda: twice("aud", "https://evil.example/"),
    "exp twice": lambda: twice("exp", 1),
}
DENIED = {
    "account of another customer": lambda: bearer(email="evil@evil.iam.gserviceaccount.com"),
    "email missing": lambda: bearer(email=MISSING),
    "email null": lambda: bearer(email=None),
    "email empty": lambda: bearer(email=""),
    "email in another case": lambda: bearer(email=ACCOUNT.title()),
    "email with a homoglyph": lambda: bearer(email=ACCOUNT.replace("e", "\u0435")),
    "email with a suffix": lambda: bearer(email=f"{ACCOUNT}.evil.example"),
    "email with a prefix": lambda: bearer(email=f"x{ACCOUNT}"),
    "email with a space": lambda: bearer(email=f"{ACCOUNT} "),
    "email a list": lambda: bearer(email=[ACCOUNT]),
    "email an object": lambda: bearer(email={ACCOUNT: True}),
    **{
        f"email_verified {value!r}": lambda value=value: bearer(email_verified=value)
        for value in (False, None, 1, "true", [True])
    },
    "email_verified missing": lambda: bearer(email_verified=MISSING),
}


@pytest.fixture(scope="module")
def endpoint():
    server = CertificatesServer({})
    yield server
    server.close()


def restart(endpoint, by_key):
    endpoint.serve(by_key)
    endpoint.status, endpoint.max_age, endpoint.requests = 200, HOUR, 0


@pytest.fixture
def server(endpoint):
    """The certificates endpoint as if just started: it serves one key."""
    restart(endpoint, SIGNER.by_key)
    return endpoint


@pytest.fixture(scope="module")
def certificates(endpoint):
    """Two certificates, fetched once; their clock stands still."""
    restart(endpoint, SIGNER.by_key | OTHER.by_key)
    certificates = Certificates(endpoint.url, clock=lambda: 0.0)
    asyncio.run(certificates.get("key-1"))
    return certificates


@pytest.fixture
def verifier(certificates):
    return make_verifier(certificates)


def make_verifier(certificates, service_account=ACCOUNT):
    return PushTokenVerifier(
        audience=AUDIENCE, service_account=service_account, certificates=certificates
    )


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class AnyKey:
    """Certificates that know one under every key id, and count how often they are asked."""

    def __init__(self, certificate=SIGNER.certificate):
        self.certificate = certificate
        self.asked = 0

    async def get(self, key_id):
        self.asked += 1
        return self.certificate


class TestVerify:
    @pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
    async def test_good_token_is_accepted(self, verifier, make):
        await verifier.verify(make())

    @pytest.mark.parametrize("make", UNAUTHENTICATED.values(), ids=UNAUTHENTICATED)
    async def test_bad_token_is_unauthenticated(self, verifier, make):
        with pytest.raises(Unauthenticated):
            await verifier.verify(make())

    @pytest.mark.parametrize("make", DENIED.values(), ids=DENIED)
    async def test_token_of_another_account_is_denied(self, verifier, make):
        with pytest.raises(PermissionDenied):
            await verifier.verify(make())

    @pytest.mark.parametrize("account", ["", "None", "null"])
    async def test_token_without_email_fits_no_account(self, certificates, account):
        with pytest.raises(PermissionDenied):
            await make_verifier(certificates, account).verify(bearer(email=MISSING))

    async def test_denied_token_is_denied_again(self, verifier):
        authorization = DENIED["account of another customer"]()
        for _ in range(2):
            with pytest.raises(PermissionDenied):
                await verifier.verify(authorization)

    @pytest.mark.parametrize(
        "make", (UNAUTHENTICATED | DENIED).values(), ids=UNAUTHENTICATED | DENIED
    )
    async def test_refusal_tells_nothing_of_the_token(self, verifier, make, caplog):
        caplog.set_level(0)
        authorization = make()
        with pytest.raises((Unauthenticated, PermissionDenied)) as caught:
            await verifier.verify(authorization)
        said = caplog.text + "".join(map(str, chain(caught.value)))
        assert not [part for part in re.findall(r"[\w-]{16,}", authorization) if part in said]

    async def test_accepted_token_is_not_logged(self, server, caplog):
        caplog.set_level(0)
        authorization = bearer()
        await make_verifier(Certificates(server.url)).verify(authorization)
        assert not [part for part in authorization.split(".") if part in caplog.text]

    @pytest.mark.parametrize(
        "key_id",
        [MISSING, None, "", 1, ["key-1"], {}, "k" * 129],
        ids=["missing", "null", "empty", "number", "list", "object", "long"],
    )
    async def test_odd_key_id_is_refused_even_if_known(self, key_id):
        with pytest.raises(Unauthenticated):
            await make_verifier(AnyKey()).verify(bearer(header={"kid": key_id}))

    async def test_algorithm_is_not_the_keys_to_choose(self):
        key = ec.generate_private_key(ec.SECP256R1())
        with pytest.raises(Unauthenticated):
            await make_verifier(AnyKey(_certificate(key))).verify(by_algorithm("ES256", key))

    async def test_token_is_checked_before_any_certificate_is_fetched(self, server):
        with pytest.raises(Unauthenticated):
            await make_verifier(Certificates(server.url)).verify(bearer(iss="evil"))
        assert server.requests == 0


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

    async def test_another_token_is_verified_itself(self):
        keys = AnyKey()
        verifier = make_verifier(keys)
        await verifier.verify(bearer())
        with pytest.raises(Unauthenticated):
            await verifier.verify(bearer(signer=IMPOSTOR))

    async def test_accepted_token_with_another_signature_is_refused(self):
        verifier, good = make_verifier(AnyKey()), token()
        await verifier.verify(f"Bearer {good}")
        forged = good.rpartition(".")[0] + "." + token(sub="x").rpartition(".")[2]
        with pytest.raises(Unauthenticated):
            await verifier.verify(f"Bearer {forged}")


class TestCertificates:
    async def test_certificate_is_fetched(self, server):
        assert await Certificates(server.url).get("key-1") == SIGNER.certificate

    @pytest.mark.parametrize(
        ("max_age", "seconds"),
        [(100, 100), (20_000, 20_000), (0, 1), (5, 5), (10**8, DAY), ("soon", HOUR)],
    )
    async def test_certificates_are_kept_as_long_as_google_says(
        self, server, clock, max_age, seconds
    ):
        server.max_age = max_age
        certificates = Certificates(server.url, clock=clock)
        requests = []
        for moment in (0, seconds - 1, seconds):
            clock.now = 1_000.0 + moment
            await certificates.get("key-1")
            requests.append(server.requests)
        assert requests == [1, 1, 2]

    async def test_hundred_pushes_at_once_fetch_once(self, server):
        verifier = make_verifier(Certificates(server.url))
        await asyncio.gather(*(verifier.verify(bearer(sub=str(n))) for n in range(100)))
        assert server.requests == 1

    async def test_unknown_key_is_unauthenticated(self, server):
        with pytest.raises(Unauthenticated):
            await Certificates(server.url).get("key-9")

    async def test_unknown_key_has_certificates_fetched_once_a_minute(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        requests = []
        for moment in (59, 60, 119, 120):
            clock.now = 1_000.0 + moment
            await asyncio.gather(
                *(certificates.get(f"key-{n}") for n in range(9, 99)), return_exceptions=True
            )
            requests.append(server.requests)
        assert requests == [1, 2, 2, 3]

    async def test_rotated_key_is_accepted_after_one_fetch(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        server.serve(OTHER.by_key)
        clock.now += 60
        assert await certificates.get("key-2") == OTHER.certificate

    async def test_keys_that_change_every_few_seconds_are_followed(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        server.max_age = 5
        for key_id, certificate in [*SIGNER.by_key.items(), *OTHER.by_key.items()] * 3:
            server.serve({key_id: certificate})
            assert await certificates.get(key_id) == certificate
            clock.now += 5

    async def test_key_that_google_withdrew_is_refused(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        server.serve(OTHER.by_key)
        clock.now += server.max_age
        with pytest.raises(Unauthenticated):
            await certificates.get("key-1")

    async def test_fetch_lets_the_loop_run(self):
        # The server is on this very loop: a blocking fetch would wait for ever.
        async with certificates_on_this_loop() as (url, asked, answer):
            getting = asyncio.create_task(Certificates(url).get("key-1"))
            await asyncio.wait_for(asked.wait(), 5)
            answer.set()
            assert await getting == SIGNER.certificate

    async def test_push_that_leaves_does_not_end_the_fetch_for_others(self):
        async with certificates_on_this_loop() as (url, asked, answer):
            certificates = Certificates(url)
            leaving, staying = (asyncio.create_task(certificates.get("key-1")) for _ in range(2))
            await asyncio.wait_for(asked.wait(), 5)
            leaving.cancel()
            answer.set()
            assert await staying == SIGNER.certificate

    def test_fetch_of_another_loop_is_not_waited_for(self, server):
        certificates = Certificates(server.url)
        with asyncio.Runner() as other:
            waiting = other.get_loop().create_task(certificates.get("key-1"))
            other.run(asyncio.sleep(0))
            assert asyncio.run(certificates.get("key-1")) == SIGNER.certificate
            other.get_loop().run_until_complete(waiting)

    def test_certificates_serve_one_loop_after_the_other(self, server, clock):
        certificates = Certificates(server.url, clock=clock)
        for _ in range(2):
            asyncio.run(certificates.get("key-1"))
            clock.now += server.max_age
        assert server.requests == 2


FAILURES = {
    "404": {"status": 404},
    "500": {"status": 500},
    "201": {"status": 201},
    "a redirect": {"status": 302},
    "empty": {"body": b""},
    "no JSON": {"body": b"<html>"},
    "no UTF-8": {"body": b"\xff"},
    "a list": {"body": b"[]"},
    "no keys": {"body": b"{}"},
    "a key set": {"body": json.dumps({"keys": [{"kid": "key-1"}]}).encode()},
    "a number": {"body": b'{"key-1": 1}'},
    "a public key": {"body": b'{"key-1": "-----BEGIN PUBLIC KEY-----"}'},
    "one of them broken": {"body": json.dumps(SIGNER.by_key | {"key-2": ""}).encode()},
}


def fail(server, failure):
    for name, value in failure.items():
        setattr(server, name, value)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
class TestFailingEndpoint:
    async def test_without_any_keys_the_push_is_not_to_be_judged(self, server, failure):
        fail(server, failure)
        with pytest.raises(Unavailable):
            await make_verifier(Certificates(server.url)).verify(bearer())

    async def test_keys_serve_a_day_longer(self, server, clock, failure):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        fail(server, failure)
        clock.now += server.max_age + DAY - 1
        assert await certificates.get("key-1") == SIGNER.certificate

    async def test_keys_of_yesterday_serve_no_more(self, server, clock, failure):
        certificates = Certificates(server.url, clock=clock)
        await certificates.get("key-1")
        fail(server, failure)
        clock.now += server.max_age + DAY
        with pytest.raises(Unavailable):
            await certificates.get("key-1")


class TestUnreachableEndpoint:
    async def test_without_any_keys_the_push_is_not_to_be_judged(self):
        with pytest.raises(Unavailable):
            await make_verifier(Certificates("http://127.0.0.1:1/")).verify(bearer())

    async def test_failure_is_logged_with_the_address(self, caplog):
        with pytest.raises(Unavailable):
            await Certificates("http://127.0.0.1:1/certs").get("key-1")
        assert "http://127.0.0.1:1/certs" in caplog.text

    async def test_failed_fetch_is_tried_again_after_five_seconds(self, server, clock):
        server.status = 500
        certificates = Certificates(server.url, clock=clock)
        requests = []
        for moment in (0, 0, 4.9, 5):
            clock.now = 1_000.0 + moment
            with pytest.raises(Unavailable):
                await certificates.get("key-1")
            requests.append(server.requests)
        assert requests == [1, 1, 1, 2]

    async def test_endpoint_that_is_back_serves_again(self, server, clock):
        server.status = 500
        certificates = Certificates(server.url, clock=clock)
        with pytest.raises(Unavailable):
            await certificates.get("key-1")
        server.status = 200
        clock.now += 5
        assert await certificates.get("key-1") == SIGNER.certificate


def chain(error):
    """An exception and all its causes."""
    while error is not None:
        yield error
        error = error.__cause__


@asynccontextmanager
async def certificates_on_this_loop():
    """The URL of an endpoint on the running loop: it sets `asked`, then waits for `answer`."""
    asked, answer = asyncio.Event(), asyncio.Event()
    body = json.dumps(SIGNER.by_key).encode()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/certs", asked, answer


async def test_certificates_are_not_fetched_from_where_a_redirect_leads(server):
    elsewhere = CertificatesServer({})
    elsewhere.status, elsewhere.location = 302, server.url
    try:
        with pytest.raises(Unavailable):
            await Certificates(elsewhere.url).get("key-1")
    finally:
        elsewhere.close()
    assert (elsewhere.requests, server.requests) == (1, 0)
