"""The emulator as a child of the tests: it ends when whoever started it has gone."""

import os
import signal
import sys
import threading


def main() -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from asgi_tasks.emulator.__main__ import main

    return main(sys.argv[1:])


def _end_with_parent() -> None:
    # Not sys.stdin: its lock, held by a daemon thread, would trouble the interpreter's end.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
