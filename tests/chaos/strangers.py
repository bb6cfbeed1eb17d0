"""Those who are not Pub/Sub, beside the load: none of their requests may be accepted."""

import contextlib
import http.client
import threading
import time
from collections import Counter

from tests.pushes import KEY, make_body, make_message
from tests.tokens import Signer

MARK = "forged"  # number of every task they ask for
PATH = "/tasks/pubsub/"
PATIENCE = 15  # seconds
LARGE = 100_000_000  # bytes that a body claims to have
SENT = 3_000_000  # of them, until the answer
SUBSCRIPTION = "projects/tests/subscriptions/test-chaos-wait-sub"
OTHER = "projects/tests/subscriptions/test-chaos-work-sub"
RUBBISH = (
    *(b"", b"{", b"null", b"[]", b"1", b'"x"', b"\x00", b"\xff\xfe{}", b'{"message": NaN}'),
    *(b"[" * 100_000, b'{"message": {}}', b'{"message": {"data": "%%%"}, "subscription": "s"}'),
)


class Strangers:
    """Counts the answers to forged, malformed, slow and large requests."""

    def __init__(self, port, signer):
        self._port = port
        self._audience = f"http://127.0.0.1:{port}{PATH}"
        self._signer = signer  # one the site believes
        self._impostor = Signer("of-the-tests")  # a key with the same id
        self._lock = threading.Lock()
        self.answers = Counter()  # by (what, status)

    def forge(self, dice):
        """A request that is right but for one thing."""
        what, token, body = dice.choice(self._forgeries())
        self._post(what, token, body)

    def send_rubbish(self, dice):
        """With a good token."""
        self._post("malformed body", self._token(), dice.choice(RUBBISH))

    def send_slowly(self, dice):
        """Bodies that come byte by byte, and stop."""
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode()
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(self._connection()) for _ in range(5)]
            for connection in connections:
                connection.connect()
                connection.sock.sendall(head)
            for _ in range(dice.randrange(1, 20)):
                for connection in connections:
                    connection.sock.sendall(b" ")
                time.sleep(0.1)
            self._count("slow body", "left")

    def send_much(self, dice):
        """More than any push may have, and it says so; or not."""
        is_honest = dice.random() < 0.5
        with self._connection() as connection:
            length = LARGE if is_honest else SENT
            connection.putrequest("POST", PATH)
            connection.putheader("Content-Length", str(length))
            connection.putheader("Content-Type", "application/json")
            connection.endheaders()
            try:
                for _ in range(SENT // 100_000):
                    connection.send(b" " * 100_000)
            except OSError:
                pass  # refused meanwhile: the answer is there
            self._count("large body", connection.getresponse().status)

    def _forgeries(self):
        token, body = self._token(), self._body()
        stranger = self._impostor.token(self._audience)
        mallory = self._token(email="mallory@evil.iam.gserviceaccount.com")
        elsewhere = self._signer.token("https://elsewhere.example/tasks/pubsub/")
        late = self._token(iat=int(time.time()) - 7200, exp=int(time.time()) - 3600)
        renewed = "another " + KEY
        return [
            ("no token", None, body),
            ("another's key", stranger, body),
            ("another account", mallory, body),
            ("another audience", elsewhere, body),
            ("expired", late, body),
            ("not signed by us", token, self._body(key=renewed)),
            ("another subscription", token, self._body(subscription=OTHER)),
            ("an unknown task", token, self._body(task="no_task")),
            ("wrong arguments", token, self._body(more=1)),
        ]

    def _token(self, **claims):
        return self._signer.token(self._audience, **claims)

    def _body(self, *, task="wait", key=KEY, subscription=SUBSCRIPTION, **more):
        message = make_message(task, number=MARK, seconds=0, **more)
        return make_body(message, key=key, subscription=subscription)

    def _post(self, what, token, body):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with self._connection() as connection:
            connection.request("POST", PATH, body, headers)
            self._count(what, connection.getresponse().status)

    @contextlib.contextmanager
    def _connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            yield connection
        except (OSError, http.client.HTTPException):
            self._count("any", "connection lost")  # a server was killed
        finally:
            connection.close()

    def _count(self, what, status):
        with self._lock:
            self.answers[what, status] += 1

    @property
    def faults(self):
        """What was accepted, and what crashed something of ours."""
        return [
            f"{count} strangers ({what}) were answered {status}"
            for (what, status), count in self.answers.items()
            if isinstance(status, int) and (status < 400 or status == 500)
        ]
