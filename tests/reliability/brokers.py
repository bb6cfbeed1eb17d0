"""The emulator behind a socket that misbehaves, and what the emulator says it got."""

import json
import re
import socket
import ssl
import struct
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.endpoints import RawEndpoint

PROJECT = "projects/tests"


class Broker:
    """Relays to the emulator; `faults` are used up first, one a publish, then `default` answers.

    It grants access tokens too, as `token` does.
    """

    def __init__(self, emulator, *, reads=True):
        self.emulator = emulator
        self.faults = []
        self.default = relay
        self.inside = relay  # of TLS
        self.token = grant
        self.heads = []  # of the publishes
        self.arrived = threading.Semaphore(0)
        self.released = threading.Event()
        self._endpoint = RawEndpoint(self._answer, reads=reads)
        self.host = urlsplit(self._endpoint.url).netloc
        self.port = int(self.host.split(":")[1])

    def _answer(self, connection, request):
        if b" /token " in request[:20]:
            return self.token(self, connection, request)
        if request:
            self.heads.append(request.partition(b"\r\n\r\n")[0].decode())
        fault = self.faults.pop(0) if self.faults else self.default
        self.arrived.release()
        return fault(self, connection, request)

    def pass_on(self, request):
        """The emulator's answer, as bytes."""
        head, _, body = request.partition(b"\r\n\r\n")
        path = head.split()[1].decode()
        return _http(*call(self.emulator, "POST", path, body))

    def recorded(self):
        """The tasks the emulator has a message of."""
        return {message.task_id for message in self.emulator.messages()}

    def release(self):
        """Let go all that hangs."""
        self.released.set()

    def close(self):
        self.release()
        self._endpoint.close()


def make_topics(emulator, topics):
    """Topics with a subscription each, without which the emulator keeps no record."""
    for topic in topics:
        call(emulator, "PUT", f"/v1/{topic}", b"{}")
        name = topic.rpartition("/")[2]
        subscription = json.dumps({"topic": topic}).encode()
        call(emulator, "PUT", f"/v1/{PROJECT}/subscriptions/{name}-pull", subscription)


def call(emulator, method, path, body):
    """The status and the body of the emulator's answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(emulator.url + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _http(status, body, content_type="application/json"):
    head = f"HTTP/1.1 {status} Answer\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


# What it does with a connection


def relay(broker, connection, request):
    connection.sendall(broker.pass_on(request))


def grant(broker, connection, request):
    connection.sendall(_http(200, b'{"access_token": "very-secret", "expires_in": 3600}'))


def hang(broker, connection, request):
    broker.released.wait()


def reset(broker, connection, request):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close(broker, connection, request):
    """Without a word."""


def lose_the_answer(broker, connection, request):
    broker.pass_on(request)
    reset(broker, connection, request)


def keep_the_answer(broker, connection, request):
    broker.pass_on(request)
    hang(broker, connection, request)


def break_off(broker, connection, request):
    answer = broker.pass_on(request)
    connection.sendall(answer[:-5])


def stop_halfway(broker, connection, request):
    answer = broker.pass_on(request)
    connection.sendall(answer[:-5])
    hang(broker, connection, request)


def trickle(broker, connection, request):
    """One byte a second."""
    for byte in broker.pass_on(request):
        connection.sendall(bytes([byte]))
        if broker.released.wait(1):
            return


def garbage(broker, connection, request):
    connection.sendall(b"\x00\xff" * 40 + b"\r\n\r\n")


def shorten_ids(broker, connection, request):
    broker.pass_on(request)
    connection.sendall(_http(200, b'{"messageIds": []}'))


def echo(broker, connection, request):
    """An error page that quotes what was sent, as a proxy may."""
    connection.sendall(_http(403, request[-20_000:], "text/html"))


def quote(broker, connection, request):
    """The same in Google's form, as its answer to a bad request may."""
    message = request.partition(b"\r\n\r\n")[2].decode()
    connection.sendall(_http(400, json.dumps({"error": {"message": message}}).encode()))


def redirect(broker, connection, request):
    head = f"HTTP/1.1 307 Elsewhere\r\nLocation: http://{broker.emulator.host}/\r\n"
    connection.sendall(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())


def answer(status, body=b'{"error": {"message": "in Google\'s words"}}', **options):
    def fault(broker, connection, request):
        connection.sendall(_http(status, body, **options))

    fault.__name__ = f"{status} {body.decode()[:12]}"
    return fault


def speak_no_tls(broker, connection, request):
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def handshake(context):
    """TLS, and nothing after it."""

    def fault(broker, connection, request):
        context.wrap_socket(connection, server_side=True)

    return fault


def over_tls(context):
    """All as usual, inside of TLS."""

    def fault(broker, connection, request):
        with context.wrap_socket(connection, server_side=True) as inside:
            request = _read_request(inside.makefile("rb"))
            broker.heads.append(request.partition(b"\r\n\r\n")[0].decode())
            broker.inside(broker, inside, request)

    return fault


def _read_request(file):
    head = b"".join(iter(file.readline, b"\r\n"))
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    return head + b"\r\n" + file.read(length)


def tls_context(folder, name="tests"):
    """TLS for a server with a new certificate for this name, and the certificate's path."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, path = serialization.Encoding.PEM, folder / "certificate.pem"
    how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, *how))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path


# What is before a connection


@contextmanager
def full_backlog():
    """The host of a socket that accepts no more connections, and does not refuse them either."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        yield f"127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()
