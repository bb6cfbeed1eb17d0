"""The named points at which a server process kills itself, by dice that a seed decides.

CHAOS_FOLDER, CHAOS_SEED and CHAOS_RATE say how; while the folder has no file "armed", nobody dies.
"""

import os
import signal
from pathlib import Path
from random import Random

from tests.chaos.journal import Journal

RECEIVED = "body received"
STARTED = "task_started sent"
BEFORE = "before the effect"
AFTER = "after the effect"
FINISHED = "task_finished sent"
ANSWERED = "answer handed over"
WRITTEN = "answer written"
POINTS = (RECEIVED, STARTED, BEFORE, AFTER, FINISHED, ANSWERED, WRITTEN)

FOLDER = Path(os.environ.get("CHAOS_FOLDER", "."))
SEED = os.environ.get("CHAOS_SEED", "0")
RATE = float(os.environ.get("CHAOS_RATE", "0"))  # of each point a delivery passes
ARMED = FOLDER / "armed"

journal = Journal(FOLDER)


def pass_by(point, number, attempt):
    """Die here, if this delivery of this task was to die at this point."""
    if is_fatal(point, number, attempt) and ARMED.exists():
        journal.write("kill", victim=os.getpid(), point=point, number=number, attempt=attempt)
        os.kill(os.getpid(), signal.SIGKILL)


def is_fatal(point, number, attempt):
    return Random(f"{SEED} {point} {number} {attempt}").random() < RATE
