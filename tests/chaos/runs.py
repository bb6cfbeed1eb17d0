"""The two runs: kills alone, and everything at once."""

import time

from .arena import arena
from .judge import Verdict
from .storm import killing, storm

OFTEN = ("wait", "work", "wait", "work", "keep", "keep_sync")
SELDOM = ("fail_first", "fail_first_sync", "fan_out", "newest", "give_up")
# A subscription whose pushes all fail is slow: Pub/Sub backs off.
KINDS = (*(OFTEN * 6), *(SELDOM * 3), "never_works")
MOST_IN_A_ROUND = 30  # seconds
TASKS_A_SECOND = 25
KILLED_EVERY = 1  # seconds, on average
KEYS_EVERY = 5  # seconds
FAULTS = ("push.duplicate:rate=0.1", "push.fail:rate=0.1")


def run_kills(folder, *, seed, tasks, rate, most_from_outside, tasks_a_second=100):
    """Kill servers until so many tasks have ended. The arena and the verdict.

    They die with probability ``rate`` at each named point, and at random moments besides.
    """
    with arena(folder, seed=seed, rate=rate, faults=FAULTS) as place:
        place.arm()
        with killing(place, every=KILLED_EVERY, most=most_from_outside):
            place.enqueue("kills", tasks=tasks, rate=tasks_a_second, kinds=KINDS)
            verdict = place.settle()
    return place, verdict


def run_chaos(folder, *, seed, seconds, rate=0.002, database=None, told):
    """Rounds of a storm and the calm after it, for so many seconds. The arena and the verdict.

    ``told`` is called with a line after each round.
    """
    verdict, until = Verdict(), time.monotonic() + seconds
    options = {"seed": seed, "rate": rate, "database": database, "rotate_keys": KEYS_EVERY}
    with arena(folder, revision=0, spared=1, **options) as place:
        number = 0
        while (left := until - time.monotonic()) > 0:
            number += 1
            verdict += run_round(place, f"round-{number}", min(MOST_IN_A_ROUND, max(left, 5)))
            told(
                f"round {number}: {verdict.counts['enqueued']} tasks, {verdict.kills.total()} "
                f"kills, {len(verdict.faults)} faults so far"
            )
    return place, verdict


def run_round(place, name, seconds):
    """One storm, and the verdict on it once all is quiet again."""
    with storm(place, name):
        tasks = int(seconds * TASKS_A_SECOND)
        place.enqueue(name, tasks=tasks, rate=TASKS_A_SECOND, kinds=KINDS)
    return place.settle()
