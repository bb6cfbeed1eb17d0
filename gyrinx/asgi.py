"""What Daphne serves: pushed tasks first, then the site."""

import os

from django.core.asgi import get_asgi_application

from gyrinx import telemetry

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gyrinx.settings")
telemetry.start()  # first, because it adds a middleware
django_application = get_asgi_application()

from asgi_tasks.asgi import PushEndpoint  # noqa: E402

application = PushEndpoint(django_application)
