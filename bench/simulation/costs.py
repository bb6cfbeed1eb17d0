"""What a million tasks cost, in dollars, once a run has settled."""

from typing import NamedTuple

from asgi_tasks.capacity import SMALLEST_MESSAGE

from .facts import (
    ALWAYS_CPU_SECOND,
    ALWAYS_MEMORY_SECOND,
    CPU_SECOND,
    LOG_BYTE,
    LOG_BYTES,
    MEMORY_SECOND,
    PUBSUB_BYTE,
    REQUEST,
)

MONTH = 30 * 86_400
MILLION = 1_000_000


class Costs(NamedTuple):
    """Dollars for a million tasks. Instances are billed by request or, instead, by instance."""

    by_request: float
    by_instance: float
    pubsub: float
    log: float

    @property
    def total(self):
        """With whichever billing is cheaper."""
        return min(self.by_request, self.by_instance) + self.pubsub + self.log


def costs(run):
    """Instances of one vCPU and 1 GiB, messages published once and pushed as often as they were."""
    tasks = run.settled_pushes
    size = max(run.scenario.task.message_bytes, SMALLEST_MESSAGE)
    busy = run.settled_busy_seconds * (CPU_SECOND + MEMORY_SECOND)
    always = run.settled_instance_seconds * (ALWAYS_CPU_SECOND + ALWAYS_MEMORY_SECOND)
    return Costs(
        by_request=(busy / tasks + REQUEST) * MILLION,
        by_instance=always / tasks * MILLION,
        pubsub=2 * size * PUBSUB_BYTE * MILLION,
        log=LOG_BYTES * LOG_BYTE * MILLION,
    )


def a_month(run):
    """Dollars, at the scenario's rate all day and night."""
    return costs(run).total * run.scenario.rate * MONTH / MILLION
