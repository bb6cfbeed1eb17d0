"""Everything goes wrong at once, and nothing may get lost.

Usage: python -m tests.chaos [--minutes 2]      chaos: kills, drains, faults, strangers
       python -m tests.chaos --kills            2,000 tasks while servers are killed
"""

import argparse
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

import tests.environment  # noqa: F401 - before anything reads the variables it takes away
from tests.postgres import postgres

from .databases import Postgres, Sqlite
from .report import SHOWN, find_faults, table
from .runs import run_chaos, run_kills


def main(arguments):
    options = parse(arguments)
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        place, verdict = run(folder, options, stack)
        faults = find_faults(place, verdict)
        for line in table(place, verdict):
            print(line)
    print(f"{time.monotonic() - started:.0f} seconds, seed {options.seed}")
    for fault in faults[:SHOWN]:
        print("FAULT", fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


def run(folder, options, stack):
    if options.kills:
        return run_kills(
            folder,
            seed=options.seed,
            tasks=options.tasks,
            rate=0.006,
            most_from_outside=options.tasks // 25,
        )
    database = Postgres(stack.enter_context(postgres())) if options.postgres else Sqlite(folder)
    return run_chaos(
        folder, seed=options.seed, seconds=options.seconds, database=database, told=tell
    )


def tell(line):
    print(line, flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--kills", action="store_true", help="kill servers, and nothing else")
    parser.add_argument("--tasks", type=int, default=2000, help="of --kills (%(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="of chaos (%(default)s)")
    parser.add_argument("--minutes", type=float, help="the same in minutes")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--postgres", action="store_true", help="instead of SQLite")
    parser.add_argument(
        "--keep", type=Path, help="a new folder for the journal, the broker's record and the logs"
    )
    options = parser.parse_args(arguments)
    if options.minutes:
        options.seconds = options.minutes * 60
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
