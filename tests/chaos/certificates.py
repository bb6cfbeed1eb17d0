"""Between the site and the emulator's certificates: down, garbled or hanging on request.

It adds a certificate of ours, so that strangers can have tokens that are right but for one thing.
"""

import contextlib
import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.tokens import Signer

LONGEST_HANG = 30  # seconds


class Certificates:
    def __init__(self, source):
        self.signer = Signer("of-the-tests")
        self._failure = None
        self._mended = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, max_age, body = owner.answer(source)
                self.send_response(status)
                self.send_header("Cache-Control", max_age)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments):
                pass  # whoever asked may have been killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/certs"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._mended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextlib.contextmanager
    def failing(self, failure):
        """ "down", "garbled" or "hanging" meanwhile."""
        self._mended.clear()
        self._failure = failure
        try:
            yield
        finally:
            self._failure = None
            self._mended.set()

    def answer(self, source):
        if self._failure == "hanging":
            self._mended.wait(LONGEST_HANG)
        if self._failure == "down":
            return 503, "no-store", b""
        if self._failure == "garbled":
            return 200, "public, max-age=3600", b'{"key": "no certificate"'
        with urllib.request.urlopen(source, timeout=10) as response:
            by_key = json.load(response) | self.signer.by_key
            return 200, response.headers["Cache-Control"], json.dumps(by_key).encode()
