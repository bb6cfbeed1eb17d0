"""A push endpoint on a real socket, in a thread: for sync tests and for async ones."""

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def bearer(header):
    return header and header.removeprefix("Bearer ")


class Endpoint:
    """Answers what the test tells it to; keeps the pushes it got."""

    def __init__(self):
        self.pushes = []
        self.tokens = []  # of each push; None: it had none
        self.answers = []  # used up first; then 204
        self.when_pushed = None  # called with the message; may return the status
        self.open = threading.Event()  # a push is answered while this is set
        self.open.set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.tokens.append(bearer(self.headers["Authorization"]))
                self.send_response(owner.answer(json.loads(body)["message"]))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *arguments):
                pass  # the emulator may have gone first

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/push/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(self, message):
        self.pushes.append(message)
        status = self.when_pushed(message) if self.when_pushed else None
        self.open.wait()
        return status or (self.answers.pop(0) if self.answers else 204)

    def close(self):
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class RawEndpoint:
    """Hands each connection to the test, with the request it got: behave(connection, request)."""

    def __init__(self, behave, *, reads=True):
        self.requests = []  # as they came, head and body
        self.closing = threading.Event()
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                request = self._request() if reads else b""
                owner.requests.append(request)
                behave(self.connection, request)

            def _request(self):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    if not (line := self.rfile.readline()):
                        raise ConnectionError("gone before it asked")
                    head += line
                length = re.search(rb"(?i)content-length: (\d+)", head)[1]
                return head + self.rfile.read(int(length))

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *arguments):
                pass  # the emulator may have gone first

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/push/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
