"""Disturbances, each in a thread of its own, at moments that a seed decides."""

import contextlib
import random
import threading
import time

BASE = (  # of every push
    ("push.duplicate", 0.1),
    ("push.fail", 0.1),
    ("push.delay", 0.03),
    ("push.drop", 0.02),
    ("push.close", 0.03),
    ("push.reorder", 0.02),
)
PUBLISH = (
    {"kind": "publish.error", "status": 503, "count": 6},
    {"kind": "publish.error", "status": 429, "count": 6},
    {"kind": "publish.close", "count": 6},
    {"kind": "publish.lose_response", "count": 20},
    {"kind": "publish.hang", "seconds": 3, "count": 30},
)


class Repeated:
    """Does something about every so many seconds, until the block ends."""

    def __init__(self, action, *, every, seed, name):
        self._action = action  # called with the dice
        self._every = every  # seconds, on average
        self._dice = random.Random(f"{seed} {name}")
        self._stopped = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *exception):
        self._stopped.set()
        self._thread.join()
        if self._error and kind is None:
            raise self._error

    def _run(self):
        try:
            while not self._stopped.wait(self._dice.uniform(0.2, 1.8) * self._every):
                self._action(self._dice)
        except Exception as error:
            self._error = error


@contextlib.contextmanager
def killing(arena, *, every, most=None):
    """Servers at work are killed at random moments, so many at the most."""
    journal = arena.reader()
    at_work = set()

    def kill(dice):
        at_work.update(entry["pid"] for entry in journal.news() if entry["what"] == "at work")
        if most is None or len(arena.fleet.killed) < most:
            arena.fleet.kill(dice, at_work)

    with Repeated(kill, every=every, seed=arena.seed, name="kill"):
        yield


@contextlib.contextmanager
def storm(arena, name):
    """Everything at once."""
    emulator, strangers = arena.emulator, arena.strangers

    def disturb_publishes(dice):
        emulator.fault(**dice.choice(PUBLISH))

    def fail_certificates(dice):
        with arena.certificates.failing(dice.choice(("down", "garbled", "hanging"))):
            time.sleep(dice.uniform(0.5, 3))

    def refuse_database(dice):
        with arena.database.refusing():
            time.sleep(dice.uniform(0.5, 1.5))

    repeated = (
        (lambda dice: arena.fleet.roll(), 8, "roll"),
        (disturb_publishes, 2, "publish"),
        (fail_certificates, 8, "certificates"),
        (refuse_database, 6, "database"),
        (strangers.forge, 0.2, "forge"),
        (strangers.send_rubbish, 0.3, "rubbish"),
        (strangers.send_slowly, 4, "slow"),
        (strangers.send_much, 4, "large"),
    )
    for kind, rate in BASE:
        emulator.fault(kind, rate=rate)
    arena.arm()
    with contextlib.ExitStack() as stack:
        stack.enter_context(killing(arena, every=2))
        for action, every, what in repeated:
            seed = f"{arena.seed} {name}"
            stack.enter_context(Repeated(action, every=every, seed=seed, name=what))
        yield
    arena.disarm()
    emulator.clear_faults()
