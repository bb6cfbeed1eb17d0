"""Servers killed with SIGKILL while they work. `make chaos ARGS=--kills` does it to 2,000 tasks."""

from tests.chaos.report import find_faults, table
from tests.chaos.runs import run_kills

SEED = 6


def test_tasks_survive_servers_that_are_killed(tmp_path):
    place, verdict = run_kills(tmp_path, seed=SEED, tasks=300, rate=0.006, most_from_outside=10)
    story = "\n".join(table(place, verdict))
    assert find_faults(place, verdict) == [], story
    assert verdict.kills.total() >= 20, story
    assert verdict.counts["enqueued"] >= 300, story
    assert verdict.counts["dead letters"] > 0, story
