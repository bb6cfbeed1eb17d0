"""The new routes in a release of asgi_tasks whose messages are of version 2."""

from asgi_tasks import messages
from tests.reliability.revisions.new import task_routes

messages.VERSION = 2

__all__ = ["task_routes"]
