"""The tests' site, which tells a collector what it does."""

from gyrinx import telemetry

telemetry.start()

from tests.site.asgi import application  # noqa: E402, F401
