"""Tokens as Google makes them for pushes, with a key made here, and how they may be wrong."""

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ACCOUNT = "pusher@tests.iam.gserviceaccount.com"


class Signer:
    """A key pair, its certificate, and the tokens it signs."""

    def __init__(self, key_id="key-1"):
        self.key_id = key_id
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.certificate = make_certificate(self.key)

    @property
    def by_key(self):
        """What a certificates endpoint answers."""
        return {self.key_id: self.certificate}

    def token(self, audience, *, header=None, **claims):
        """A token; a claim or header that is None is left out."""
        now = int(time.time())
        payload = {
            "aud": audience,
            "azp": "1234567890",
            "email": ACCOUNT,
            "email_verified": True,
            "exp": now + 3600,
            "iat": now,
            "iss": "https://accounts.google.com",
            "sub": "1234567890",
        } | claims
        head = {"alg": "RS256", "kid": self.key_id, "typ": "JWT"} | (header or {})
        return self.sign(_without_none(head), _without_none(payload))

    def sign(self, header, payload):
        """A token of these two objects, or of these two texts."""
        return self.sign_parts(encode(header), encode(payload))

    def sign_parts(self, header, payload):
        """A token of these two parts, encoded whichever way."""
        signed = f"{header}.{payload}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"


def encode(part):
    """A part of a token: an object, or the JSON text itself."""
    text = part if isinstance(part, str) else json.dumps(part)
    return _base64url(text.encode())


class Clock:
    """Stands still until a test moves it."""

    def __init__(self, now=1_000.0):
        self.now = now

    def __call__(self):
        return self.now


class CertificatesServer:
    """Serves certificates on a real socket, counts the requests, and fails on request."""

    def __init__(self, by_key):
        self.body = json.dumps(by_key).encode()
        self.status = 200
        self.max_age = 3600
        self.requests = 0
        self.location = None  # where a redirecting status leads
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.requests += 1
                self.send_response(owner.status)
                self.send_header("Cache-Control", f"public, max-age={owner.max_age}")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(owner.body)))
                if owner.location:
                    self.send_header("Location", owner.location)
                self.end_headers()
                self.wfile.write(owner.body)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/certs"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def serve(self, by_key):
        self.body = json.dumps(by_key).encode()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def make_certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _without_none(fields):
    return {name: value for name, value in fields.items() if value is not None}
