"""Cloud Run's side: instances that come and go, and the way of a push through them."""

import math
from collections import deque

from asgi_tasks.capacity import RESERVED_CONNECTIONS

from .facts import (
    LONGEST_WAIT,
    REQUESTS_AN_INSTANCE,
    SCALING_INTERVAL,
    SCALING_WINDOW,
    TARGET,
    WAIT_IN_STARTS,
)
from .queues import Queue, Stage, total


class CloudRun:
    def __init__(self, scenario, step):
        self._settings, self._guesses = scenario.settings, scenario.guesses
        self._task = task = scenario.task
        self._step = step
        self._pending = Queue()
        self._processor = Stage(max(task.instance_seconds, 1 / REQUESTS_AN_INSTANCE))
        self._database = Stage(task.database_seconds)
        self._waiting = deque()  # (when it is done, group)
        self._starting = deque()  # (when it is ready, how many)
        self._starts = self._most_starts = max(scenario.guesses.starts_a_second, 1.0)
        self._used = deque(maxlen=round(SCALING_WINDOW / step))  # (processor, under way), a step
        self._since_scaled = 0.0
        self.instances = 0
        self.under_way = 0

    def run(self, pushed, now):
        """One step: those that begin to run, those that are done and those refused (429)."""
        self._get_ready(now)
        self._pending.put(pushed)
        places = self.instances * self._settings.concurrency - self.under_way
        admitted = self._pending.take(max(places, 0))
        self.under_way += total(admitted)
        self._processor.queue.put(admitted)
        begun = self._processor.serve(self.instances * self._step)
        done = self._go_on(begun, now)
        self.under_way -= total(done)
        longest = max(LONGEST_WAIT, WAIT_IN_STARTS * self._guesses.start_seconds)
        refused = self._pending.take_pushed_until(now - longest)
        self._scale(total(begun), now)
        return begun, done, refused

    def _go_on(self, begun, now):
        """From the processor to the database, from there to waiting for something else."""
        settings = self._settings
        self._database.queue.put(begun)
        connections = min(
            self.instances * min(settings.lanes, settings.pool_size),
            settings.database_connections - RESERVED_CONNECTIONS,
        )
        for group in self._database.serve(connections * self._step):
            self._waiting.append((now + self._task.wait_seconds, group))
        done = []
        while self._waiting and self._waiting[0][0] <= now + 1e-9:
            done.append(self._waiting.popleft()[1])
        return done

    def _get_ready(self, now):
        while self._starting and self._starting[0][0] <= now:
            self.instances += self._starting.popleft()[1]

    def _scale(self, begun, now):
        self._used.append((begun * self._task.instance_seconds, self.under_way))
        allowed = self._guesses.starts_a_second * self._step
        self._starts = min(self._starts + allowed, self._most_starts)
        self._since_scaled += self._step
        if self._pending.count:
            # On demand: for requests that find no place.
            self._start(math.ceil(self._pending.count / self._settings.concurrency), now)
        if self._since_scaled >= SCALING_INTERVAL:
            self._since_scaled = 0.0
            aim = self._aim()
            if not self._pending.count:
                self.instances = min(self.instances, aim)
            self._start(aim - self.instances, now)

    def _aim(self):
        """What the averages of the last minute ask for."""
        steps = len(self._used)
        processors = sum(cpu for cpu, _ in self._used) / (steps * self._step)
        under_way = sum(count for _, count in self._used) / steps
        aim = max(processors / TARGET, under_way / (TARGET * self._settings.concurrency))
        return min(max(math.ceil(aim), 1), self._settings.max_instances)

    def _start(self, wanted, now):
        """Begin to start so many, less those that are starting already."""
        starting = sum(count for _, count in self._starting)
        room = self._settings.max_instances - self.instances
        count = min(min(wanted, room) - starting, int(self._starts))
        if count > 0:
            self._starts -= count
            self._starting.append((now + self._guesses.start_seconds, count))
