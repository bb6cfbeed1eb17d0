"""Each row of docs/benchmarks.md gives its figures, from very little of everything."""

import dataclasses
import importlib.util
import json
import math
import os
import subprocess
import sys
from collections import Counter

import pytest

from asgi_tasks.conf import BackendOptions
from bench.figures import Measured
from bench.measures import MEASURES
from tests.processes import ROOT

(LANES,) = (
    field.default for field in dataclasses.fields(BackendOptions) if field.name == "threads"
)
BESIDE_THE_PEER = ("3", "4", "5")
MEASURED_POSITIVE = ("times", "a second", "a CPU second", "s", "ms", "µs", "ns")

# What the figures have to be, as it was written down before anything was measured.
WANTED = {
    "1": [("at least", 0.85, "times"), ("at least", 0.65, "times")],
    "2": [("at least", 4, "times")],
    "3": [("at least", 5, "times"), ("at least", 1.3, "times")],
    "4": [
        ("at most", 1.5, "s"),
        ("at most", LANES + 3, "threads"),
        ("at most", 30, "MB"),
        ("at least", 15, "times"),
    ],
    "5": [("at least", 25_000, "a second"), ("at least", 5, "times"), ("at least", 5, "times")],
    "6": [("at most", 1.25, "times")],
    "7": [("at most", 0.6, "times"), ("at least", 8_000, "a second")],
    "8": [("at most", 3, "s")],
    "8b": [
        ("at least", 2, "times"),
        ("at least", 2, "times"),
        ("at most", LANES, "connections"),
    ],
    "9": [
        ("at most", 40, "ms"),
        ("at most", 5, "MB"),
        ("at most", 150, "ms"),
        ("at most", 15, "MB"),
        ("at most", 0, "modules"),  # of grpc
    ],
    "10": [("at most", 5, "MB"), ("at most", 0, "files")],
    "11": [],
    "12": [],
    "servers": [],
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a row gives, each measured once."""
    found = {}

    def measure(row):
        if row not in found:
            found[row] = run(row, tmp_path_factory.mktemp("row") / "row.json")
        return found[row]

    return measure


def run(row, file):
    if row in BESIDE_THE_PEER and importlib.util.find_spec("django_tasks_pubsub") is None:
        pytest.skip("django-tasks-pubsub needs Python 3.13")
    little = ("--scale", "0.01", "--rounds", "1", "--no-page", "--json", file)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", row, *little],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if "no PostgreSQL server" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return Measured.from_json(json.loads(file.read_text())["rows"][row])


def test_every_row_of_the_issue_is_measured():
    assert list(MEASURES) == list(WANTED)


@pytest.mark.parametrize("row", MEASURES)
def test_row_gives_figures(measured, row):
    found = measured(row)
    assert found.figures
    for figure in found.figures:
        assert all(map(math.isfinite, figure.values)), figure
        is_difference = "more than" in figure.name  # of two starts, say: noise may make it negative
        if figure.unit in MEASURED_POSITIVE and not is_difference:
            assert min(figure.values) > 0, figure
    for plot in found.plots:
        assert all(len(curve.points) > 1 for curve in plot.curves), plot


@pytest.mark.parametrize("row", MEASURES)
def test_no_target_of_a_row_has_been_softened(measured, row):
    targets = Counter(
        (word, bound, figure.unit)
        for figure in measured(row).figures
        for word, bound in (("at least", figure.at_least), ("at most", figure.at_most))
        if bound is not None
    )
    assert Counter(WANTED[row]) <= targets
