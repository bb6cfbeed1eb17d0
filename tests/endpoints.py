"""A push endpoint on a real socket, in a thread: for sync tests and for async ones."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint:
    """Answers what the test tells it to; keeps the pushes it got."""

    def __init__(self):
        self.pushes = []
        self.answers = []  # used up first; then 204
        self.when_pushed = None  # called with the message; may return the status
        self.open = threading.Event()  # a push is answered while this is set
        self.open.set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
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
