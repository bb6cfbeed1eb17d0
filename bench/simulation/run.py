"""Run a scenario step by step, and keep what is worth knowing."""

import math
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from .cloud_run import CloudRun
from .facts import PUBSUB_LATENCY
from .pubsub import Subscriptions
from .queues import Group, total
from .scenarios import BURST_AT, Scenario

STEP = 0.05  # seconds
STEPS_A_SECOND = round(1 / STEP)


class Moment(NamedTuple):
    """Once a second."""

    second: int
    backlog: int  # messages that are not pushed yet, or that failed and wait to be pushed again
    window: int  # pushes that may be under way
    under_way: int
    instances: int


@dataclass(slots=True)
class Run:
    """What came out. The second half of the run counts as settled."""

    scenario: Scenario
    moments: list = field(default_factory=list)
    delays: Counter = field(default_factory=Counter)  # steps from enqueueing to the run: tasks
    settled_delays: Counter = field(default_factory=Counter)
    peak_backlog: int = 0
    peak_under_way: int = 0
    peak_window: int = 0
    peak_instances: int = 0
    drained_at: float = 0.0  # when the backlog was below a second's arrivals for good
    enqueued: int = 0
    done: int = 0
    refused: int = 0
    left: int = 0  # at the end: not pushed, under way, or on the way to Pub/Sub
    settled_pushes: int = 0
    settled_busy_seconds: float = 0.0  # of instances with a request under way
    settled_instance_seconds: float = 0.0
    settled_push_seconds: float = 0.0

    @property
    def settled_from(self):
        return self.scenario.seconds / 2

    @property
    def settled_instances(self):
        return self.settled_instance_seconds / self.settled_from

    @property
    def settled_under_way(self):
        return self.settled_push_seconds / self.settled_from

    @property
    def drain_seconds(self):
        """From the burst, or from the first task."""
        return self.drained_at - (BURST_AT if self.scenario.burst else 0)


def simulate(scenario, seed=1):
    """From nothing at all: no instance, a push window of a few, and tasks that come at once."""
    chance = random.Random(f"{seed}/{scenario.name}")
    pubsub = Subscriptions(scenario)
    cloud_run = CloudRun(scenario, STEP)
    run = Run(scenario)
    on_the_way = deque([0] * round(PUBSUB_LATENCY / STEP))
    for step in range(scenario.seconds * STEPS_A_SECOND):
        now = step * STEP
        on_the_way.append(arrivals(chance, scenario, step))
        run.enqueued += on_the_way[-1]
        if arrived := on_the_way.popleft():
            pubsub.publish([Group(arrived, enqueued=now - PUBSUB_LATENCY)])
        pushed = pubsub.push(now, STEP)
        begun, done, refused = cloud_run.run(pushed, now)
        pubsub.answered(done, refused, now, STEP)
        run.done += total(done)
        run.refused += total(refused)
        _note_delays(run, now, begun)
        _note_sizes(run, now, pushed, pubsub, cloud_run)
        if step % STEPS_A_SECOND == 0:
            sizes = pubsub.backlog, pubsub.window, pubsub.under_way, cloud_run.instances
            run.moments.append(Moment(round(now), *sizes))
    run.left = pubsub.backlog + pubsub.under_way + sum(on_the_way)
    return run


def arrivals(chance, scenario, step):
    """Tasks that are enqueued in this step."""
    count = poisson(chance, scenario.rate * STEP)
    if scenario.burst and step == round(BURST_AT / STEP):
        count += scenario.burst
    return count


def poisson(chance, mean):
    """How many come when so many come on average. Large ones are as good as normal."""
    if mean > 50:
        return max(round(chance.gauss(mean, math.sqrt(mean))), 0)
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def _note_delays(run, now, begun):
    for group in begun:
        steps = round((now - group.enqueued) / STEP)
        run.delays[steps] += group.count
        if now >= run.settled_from:
            run.settled_delays[steps] += group.count


def _note_sizes(run, now, pushed, pubsub, cloud_run):
    run.peak_backlog = max(run.peak_backlog, pubsub.backlog)
    run.peak_under_way = max(run.peak_under_way, pubsub.under_way)
    run.peak_window = max(run.peak_window, pubsub.window)
    run.peak_instances = max(run.peak_instances, cloud_run.instances)
    if pubsub.backlog > run.scenario.rate:
        run.drained_at = now + STEP
    if now >= run.settled_from:
        busy = min(cloud_run.instances, cloud_run.under_way)
        run.settled_busy_seconds += busy * STEP
        run.settled_instance_seconds += cloud_run.instances * STEP
        run.settled_push_seconds += pubsub.under_way * STEP
        run.settled_pushes += total(pushed)


def percentile(delays, share):
    """Seconds that so large a share of the tasks waited at the most."""
    left = share * delays.total()
    for steps, count in sorted(delays.items()):
        left -= count
        if left <= 0:
            return steps * STEP
    return math.nan
