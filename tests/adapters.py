"""Pushes to the two adapters of dispatch.receive(), in this process and without a socket."""

from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application

from asgi_tasks.asgi import PushEndpoint

LONG = 10  # seconds until a test gives up; nothing waits that long


class Client:
    """Pub/Sub, pushing to one of the two adapters."""

    def __init__(self, application, path, token):
        self._application = application
        self._path = path
        self.token = token

    def connect(self, *, method="POST", headers=None, query=b""):
        """A request whose body is still to be sent; a header may be None, or a list."""
        headers = {
            "authorization": f"Bearer {self.token}",
            "content-type": "application/json",
            "host": "testserver",
        } | (headers or {})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": [
                (name.encode(), each.encode("latin-1"))
                for name, value in headers.items()
                for each in ([value] if isinstance(value, str) else value or [])
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        return ApplicationCommunicator(self._application, scope)

    async def answer(self, connection):
        start = await connection.receive_output(LONG)
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        body = (await connection.receive_output(LONG)).get("body", b"")
        await connection.wait(LONG)
        return start["status"], headers, body

    async def push(self, body, **options):
        connection = self.connect(**options)
        await connection.send_input({"type": "http.request", "body": body})
        return await self.answer(connection)

    async def status(self, body, **options):
        return (await self.push(body, **options))[0]


def endpoint():
    return PushEndpoint(get_asgi_application()), "/tasks/pubsub/"


def view():
    return get_asgi_application(), "/view/pubsub/"
