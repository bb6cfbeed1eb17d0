"""The server in a process of its own, raw connections to it, and what it uses."""

import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

from tests.processes import free_port, running, wait_until_listening
from tests.pushes import make_body, make_message
from tests.site import effects

LONG = 30  # seconds until a test gives up
SETTINGS = "tests.reliability.served.settings"
APPLICATION = "tests.reliability.served.asgi:application"
PUSH_PATH = "/tasks/pubsub/"
UPGRADE = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]


class Served:
    """A server process and the folder its site writes to."""

    def __init__(self, process, port, folder):
        self.process = process
        self.port = port
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.endpoint = self.url + PUSH_PATH

    def connect(self):
        return contextlib.closing(Connection(self.port))

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=LONG) as response:
            return json.load(response)

    def effects(self, **facts):
        """What tasks recorded."""
        path = self.folder / "effects.jsonl"
        found = effects.read(path) if path.exists() else []
        return [effect for effect in found if facts.items() <= effect.items()]

    def open_gate(self, gate="gate"):
        """Let the tasks end that wait for it."""
        (self.folder / gate).touch()

    def send_signal(self, number=signal.SIGTERM):
        os.kill(self.process.pid, number)

    def wait_until(self, condition):
        deadline = time.monotonic() + 2 * LONG
        while not condition():
            assert time.monotonic() < deadline, self.process.output[-5000:]
            time.sleep(0.05)

    def stop(self, number=signal.SIGTERM):
        """The exit code, and the seconds it took."""
        began = time.monotonic()
        code = self.process.stop(number)
        return code, time.monotonic() - began

    @property
    def peak_megabytes(self):
        """The most memory the process has had so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def open_files(self):
        """What its file descriptors lead to, and the size of that."""
        found = []
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append((str(link.readlink()), link.stat().st_size))
        return found

    def spooled(self):
        """The sizes of the files in which it keeps bodies."""
        return [size for target, size in self.open_files() if "(deleted)" in target]


class Connection:
    """A connection on which a test says what it likes."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LONG)
        self._received = bytearray()

    def send(self, data):
        self._socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def post(self, path, *headers, body=b""):
        """Send a request; a body of None, or less than the headers say, is to follow."""
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
        if body is not None and not any(h.lower().startswith(LENGTHS) for h in headers):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines) + "\r\n\r\n")
        self.send(body or b"")

    def get(self, path, *headers):
        self.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers]) + "\r\n\r\n")

    def answer(self):
        """The next answer: its status, head and body. None: the connection ended before it."""
        head = self._read_until(b"\r\n\r\n")
        if head is None:
            return None
        status = int(head.split()[1])
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        is_chunked = b"transfer-encoding: chunked" in head.lower()
        body = self._read_chunks() if is_chunked else self._read(int(length[1]) if length else 0)
        return Answer(status, head.decode("latin-1"), body)

    def status(self):
        answer = self.answer()
        return answer and answer.status

    def is_ended(self):
        """Whether the server closes it without another word, which is waited for."""
        return not self._received and not self._receive()

    def read_to_the_end(self):
        """Everything until the server closes the connection."""
        while self._receive():
            pass
        return bytes(self._received)

    def close(self):
        self._socket.close()

    def _read_until(self, mark):
        while mark not in self._received:
            if not self._receive():
                return None
        head, _, self._received = self._received.partition(mark)
        return head + mark

    def _read_chunks(self):
        body = b""
        while size := int(self._read_until(b"\r\n"), 16):
            body += self._read(size + 2)[:-2]
        self._read(2)
        return body

    def _read(self, size):
        while len(self._received) < size and self._receive():
            pass
        body, self._received = self._received[:size], self._received[size:]
        return body

    def _receive(self):
        try:
            data = self._socket.recv(1_000_000)
        except ConnectionResetError:
            data = b""
        self._received += data
        return bool(data)


class Answer:
    def __init__(self, status, head, body):
        self.status = status
        self.head = head
        self.body = body


LENGTHS = ("content-length", "transfer-encoding")


def environment(folder, port):
    return {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "TESTS_SERVICE_URL": f"http://127.0.0.1:{port}",
        "TESTS_EFFECTS": str(folder / "effects.jsonl"),
        "TESTS_GATES": str(folder),
    }


@contextlib.contextmanager
def serving(
    folder,
    *options,
    module="asgi_tasks.server",
    application=APPLICATION,
    port=None,
    **variables,
):
    """The site behind the server. Its output may hold no traceback."""
    port = port or free_port()
    env = environment(folder, port) | variables
    command = (sys.executable, "-m", module, "-p", port, *options, application)
    with running(*command, env=env) as process:
        served = Served(process, port, folder)
        wait_until_listening(process, served.url)
        yield served
    assert "Traceback" not in process.output, process.output


def push_headers(served, signer):
    token = signer.token(served.endpoint)
    return [f"Authorization: Bearer {token}", "Content-Type: application/json"]


def push_of(task, *args, **kwargs):
    return make_body(make_message(task, *args, **kwargs))
