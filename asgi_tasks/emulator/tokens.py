"""OIDC tokens as Google signs them for pushes, with a key made at start and never written down."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

ISSUER = "https://accounts.google.com"
LIFETIME = 3600
RENEWED_AFTER = 3000
CERTIFICATE_DAYS = 30


class SigningKey:
    """An RSA key and its self-signed certificate."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = self._certify()
        self.kid = certificate.fingerprint(hashes.SHA256()).hex()[:40]
        self.pem = certificate.public_bytes(Encoding.PEM).decode("ascii")

    def sign(self, claims: Mapping[str, object]) -> str:
        header = {"alg": "RS256", "kid": self.kid, "typ": "JWT"}
        signed = f"{_encode_json(header)}.{_encode_json(claims)}"
        signature = self._key.sign(signed.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encode(signature)}"

    def certificates(self) -> dict[str, str]:
        """As at https://www.googleapis.com/oauth2/v1/certs: key id to PEM."""
        return {self.kid: self.pem}

    def key_set(self) -> dict[str, list[dict[str, str]]]:
        """As at https://www.googleapis.com/oauth2/v3/certs: JSON Web Keys."""
        numbers = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.kid,
            "n": _encode_number(numbers.n),
            "e": _encode_number(numbers.e),
        }
        return {"keys": [key]}

    def _certify(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "asgi_tasks emulator")])
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder(subject_name=name, issuer_name=name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
            .sign(self._key, hashes.SHA256())
        )


@dataclass(frozen=True, slots=True)
class _Minted:
    token: str
    at: float


class TokenMint:
    """Tokens for service accounts; as with Google, one is shared by many pushes."""

    def __init__(self, key: SigningKey, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._minted: dict[tuple[str, str], _Minted] = {}

    def token(self, *, service_account: str, audience: str) -> str:
        known = self._minted.get((service_account, audience))
        if known is None or self._clock() - known.at >= RENEWED_AFTER:
            known = _Minted(self._mint(service_account, audience), self._clock())
            self._minted[service_account, audience] = known
        return known.token

    def _mint(self, service_account: str, audience: str) -> str:
        issued_at = int(self._clock())
        account_id = _account_id(service_account)
        return self._key.sign(
            {
                "aud": audience,
                "azp": account_id,
                "email": service_account,
                "email_verified": True,
                "exp": issued_at + LIFETIME,
                "iat": issued_at,
                "iss": ISSUER,
                "sub": account_id,
            }
        )


def _account_id(service_account: str) -> str:
    """A number like Google's unique id of an account, always the same for one address."""
    digest = hashlib.sha256(service_account.encode()).digest()
    return str(10**20 + int.from_bytes(digest[:8]))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _encode_json(value: Mapping[str, object]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode_number(number: int) -> str:
    return _encode(number.to_bytes((number.bit_length() + 7) // 8))
