"""
A development tool, not a message broker to rely on: everything lives in one process's memory and
is gone when it stops, there is no authentication, and production is Google's Pub/Sub.

It speaks enough of Google Cloud Pub/Sub, gRPC and REST on one port, for a whole push loop to run on
a laptop: push with OIDC tokens, retry policies, ack deadlines, dead letters. Start it with
``python -m asgi_tasks.emulator`` and point the unmodified clients at it with
``PUBSUB_EMULATOR_HOST``. What it does not do is listed in docs/reference/emulator.md.
"""
