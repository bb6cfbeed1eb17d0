"""The command lines of the measurements."""

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from asgi_tasks.management.arguments import number_from

LEAST_ROUNDS = 5  # for the page
MOST_ROUNDS = 100


class Parser(argparse.ArgumentParser):
    """One line for what is wrong."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def rounds(text):
    return number_from(int, 1, MOST_ROUNDS)(text)


def run(main):
    """Run it to its end, or until Ctrl-C or a SIGTERM: whatever it has started ends with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _end_children()
        sys.stderr.write("\ninterrupted\n")
        sys.exit(130)


def _end_children():
    """Those that an interrupt between their start and the next line has left."""
    for file in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, file.read_text().split()):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
