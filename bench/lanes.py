"""
How many lanes: ``python -m bench.lanes``.

Pushes of a sync task, 32 at once, to a server with so many lanes, on PostgreSQL: of one whose three
queries take next to nothing, and of one whose single query takes 20 ms. Pushes a second, the median
of the rounds, alternating; docs/how-to/deploy.md shows them.
"""

import argparse
import statistics
import sys

from bench.figures import Plan, alternate
from bench.load import loading
from bench.measures.orm import database

LANES = (1, 2, 4, 8, 16, 32)
LEAST = 4  # connections, which psycopg's pool opens by itself
COUNT = 200
KINDS = {
    "three short queries": ("query_three_sync", {}),
    "a query of 20 ms": ("query_slowly", {"seconds": 0.02}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    plan = Plan(rounds=parser.parse_args().rounds)
    tell("", LANES)
    # One after the other: together they would have more connections than PostgreSQL allows.
    for pool, has_pool in {"without a pool": False, "with psycopg's pool": True}.items():
        for kind, rates in measure(plan, has_pool=has_pool).items():
            tell(f"{kind}, {pool}", rates)


def tell(name, numbers):
    sys.stdout.write(f"{name:42}{''.join(f'{number:>7.0f}' for number in numbers)}\n")
    sys.stdout.flush()


def measure(plan, *, has_pool):
    """Pushes a second by what they do, for each number of lanes."""
    ways = {lanes: {"BENCH_THREADS": lanes} for lanes in LANES}
    if has_pool:
        for lanes, variables in ways.items():
            variables["BENCH_POOL"] = max(lanes, LEAST)
    with database(ways) as site, loading() as load:
        subjects = {
            (lanes, kind): site.pushing(load, COUNT, lanes, task=task, **arguments)
            for lanes in LANES
            for kind, (task, arguments) in KINDS.items()
        }
        found = alternate(plan, subjects, warm_up=False)
    rates = {key: statistics.median(run.a_second for run in runs) for key, runs in found.items()}
    return {kind: [rates[lanes, kind] for lanes in LANES] for kind in KINDS}


if __name__ == "__main__":
    main()
