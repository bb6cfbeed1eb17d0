"""Tokens right and wrong, made with fresh keys, and the answer to each.

The keys a certificates endpoint should serve are SIGNER's and OTHER's.
"""

import base64
import hashlib
import hmac
import json
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.tokens import ACCOUNT, Signer, encode

AUDIENCE = "http://127.0.0.1:1/tasks/pubsub/"  # of tests.site
HOUR, DAY = 3600, 86_400
MISSING = object()
SIGNER, OTHER = Signer("key-1"), Signer("key-2")
IMPOSTOR = Signer("key-1")  # Google's key id, but not Google's key
PUBLIC_KEY = SIGNER.key.public_key()
PUBLIC_PEM = PUBLIC_KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


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


def lasting(seconds):
    """A token that is valid for so many seconds from now on."""
    issued = now()
    return bearer(iat=issued, exp=issued + seconds)


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


def keyed_with(secret, **header):
    """A token signed with HMAC, with something public as the secret."""
    good_header, claims = parts(token())
    signed = f"{encode(good_header | {'alg': 'HS256'} | header)}.{encode(claims)}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"Bearer {signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def respelled(part):
    """Another base64url text of the same bytes, whose spare bits are not zero."""
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) + 1]


def signed_parts(change_header=str, change_claims=str):
    """A token signed over parts that were changed once encoded; they leave spare bits."""
    texts = (json.dumps(part) for part in parts(token(sub="?" * 9)))  # has - or _ when encoded
    header, claims = (encode(text + " " * ((1 - len(text)) % 3)) for text in texts)
    return f"Bearer {SIGNER.sign_parts(change_header(header), change_claims(claims))}"


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
    "an hour and the leeway": lambda: lasting(HOUR + 10),
    "base64url with - and _": signed_parts,
    "by the other key": lambda: bearer(header={"kid": "key-2"}, signer=OTHER),
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
    "padding in the header, signed so": lambda: signed_parts(change_header=lambda p: f"{p}=="),
    "padding in the claims, signed so": lambda: signed_parts(change_claims=lambda p: f"{p}=="),
    "alphabet of base64, not base64url": lambda: f"{bearer()[:-1]}+",
    "alphabet of base64, signed so": lambda: signed_parts(
        change_claims=lambda part: part.replace("_", "/").replace("-", "+")
    ),
    "spare bits in the signature": lambda: with_parts(
        lambda header, claims, signature: (header, claims, respelled(signature))
    ),
    "spare bits in the header, signed so": lambda: signed_parts(change_header=respelled),
    "spare bits in the claims, signed so": lambda: signed_parts(change_claims=respelled),
    "line break in the claims, signed so": lambda: signed_parts(change_claims=lambda p: f"{p}\n"),
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
    "alg NONE": lambda: bearer(header={"alg": "NONE"}),
    "alg empty": lambda: bearer(header={"alg": ""}),
    "alg twice": lambda: (
        f"Bearer {SIGNER.sign('{"alg":"none","alg":"RS256","kid":"key-1"}', parts(token())[1])}"
    ),
    "HS256 keyed with the certificate": lambda: keyed_with(SIGNER.certificate),
    "HS256 keyed with the public key": lambda: keyed_with(PUBLIC_PEM),
    "HS256 keyed with nothing": lambda: keyed_with(""),
    "HS256 keyed with the certificate and called RS256": lambda: keyed_with(
        SIGNER.certificate, alg="RS256"
    ),
    "HS256 in name alone": lambda: bearer(header={"alg": "HS256"}),
    "RS384": lambda: by_algorithm("RS384"),
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
    "expired 61 s ago": lambda: aged(HOUR + 61),
    "issued in 61 s": lambda: aged(-61),
    "expired an hour ago": lambda: aged(2 * HOUR),
    "issued in the future": lambda: aged(-15),
    "issued in an hour": lambda: aged(-HOUR),
    "valid from an hour on": lambda: bearer(nbf=now() + HOUR),
    "valid an hour, the leeway and a second": lambda: lasting(HOUR + 11),
    "valid two hours": lambda: lasting(2 * HOUR),
    "valid ten years": lambda: lasting(10 * 365 * DAY),
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
    "email a lone surrogate": lambda: signed_text(
        json.dumps(parts(token(email="?"))[1]).replace('"?"', '"\\ud800"')
    ),
    "email twice": lambda: twice("email", "evil@evil.iam.gserviceaccount.com"),
    "aud twice": lambda: twice("aud", "https://evil.example/"),
    "exp twice": lambda: twice("exp", 1),
    "email twice, both right": lambda: twice("email", ACCOUNT),
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
    "email with a NUL": lambda: bearer(email=f"{ACCOUNT}\0"),
    "email in full width": lambda: bearer(email=ACCOUNT.replace("@", "\uff20")),
    "email of ours as the subject": lambda: bearer(email="evil@gmail.com", sub=ACCOUNT),
    "email with a space": lambda: bearer(email=f"{ACCOUNT} "),
    "email a list": lambda: bearer(email=[ACCOUNT]),
    "email an object": lambda: bearer(email={ACCOUNT: True}),
    **{
        f"email_verified {value!r}": lambda value=value: bearer(email_verified=value)
        for value in (False, None, 1, 1.0, "true", "True", [True])
    },
    "email_verified missing": lambda: bearer(email_verified=MISSING),
}
# The answer, and then by name how the token is made.
CORPUS = {204: GOOD, 401: UNAUTHENTICATED, 403: DENIED}
