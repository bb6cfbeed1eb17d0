"""What a developer's shell may hold is not the tests' business: it is taken away at import."""

import os
import signal

NAMES = ("PUBSUB_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "DJANGO_ALLOW_ASYNC_UNSAFE")

# Only tests/conformance asks for it back: it runs against whatever Pub/Sub the shell names.
TAKEN = {name: os.environ.pop(name) for name in NAMES if name in os.environ}
# What runs in the background of a shell ignores it, and would hand that down to its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
