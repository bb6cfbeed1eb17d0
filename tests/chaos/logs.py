"""What servers may not have written."""

import re

SUSPICIOUS = re.compile(
    r"an error in asgi_tasks|never retrieved|never awaited|Unhandled|Exception (in|ignored)"
    r"|Traceback|ResourceWarning|Task was destroyed"
)
# A task that fails is told of with its traceback.
EXPECTED = re.compile(r'"message": "Task \S+ [A-Za-z ]+ in \d+ ms[a-z ]*: id=')


def suspicious_lines(paths):
    """Lines that tell of an error of ours, not of a task's."""
    return [line[:1000] for path in paths for line in _lines(path) if _is_suspicious(line)]


def _lines(path):
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def _is_suspicious(line):
    return SUSPICIOUS.search(line) is not None and not EXPECTED.search(line)
