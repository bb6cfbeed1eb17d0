"""What was measured, and on what: the document that docs/benchmarks.json holds."""

import importlib.metadata
import json
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Measured

DISTRIBUTIONS = (
    *("Django", "Daphne", "Twisted", "asgiref", "aiohttp", "gcloud-aio-pubsub"),
    *("google-cloud-pubsub", "django-tasks-pubsub", "gunicorn", "uvicorn", "psycopg"),
)
NUMBERS = re.compile(r"\[\s+([^][{}\"]+?)\s+\]")  # a list of them, over several lines


class Unusable(Exception):
    """A file that is not what was written here."""


def here():
    """What the figures depend on: the machine, and the versions."""
    return {"machine": machine(), "versions": versions(), "rows": {}}


def machine():
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processors": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(gigabytes),
    }


def versions():
    found = {"Python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def read(path):
    """The document in a file, or one without rows. Raise Unusable."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return here()
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from None
    if not _is_whole(document):
        raise Unusable(f"{path} does not hold what was measured")
    return document


def _is_whole(document):
    parts = {"machine": machine(), "versions": versions()}
    try:
        for row in document["rows"].values():
            Measured.from_json(row)
        return all(document[part].keys() == value.keys() for part, value in parts.items())
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def is_of_here(document):
    """Whether it was measured on this machine with these versions, so that rows may be added."""
    return all(document[part] == value for part, value in here().items() if part != "rows")


def row(measured, plan, seconds):
    """One row of the document."""
    return {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "rounds": plan.rounds,
        "seconds": round(seconds),
        **measured.as_json(),
    }


def with_row(document, number, row, order):
    """The document with this row, in place of an earlier one."""
    rows = document["rows"] | {number: row}
    return document | {"rows": {name: rows[name] for name in order if name in rows}}


def dump(document):
    """As text, the numbers of a list on one line."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return NUMBERS.sub(lambda found: f"[{re.sub(r'\s+', ' ', found[1])}]", text) + "\n"


def _processor():
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
