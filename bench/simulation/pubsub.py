"""Pub/Sub's side: what waits, the push window, the quota, backoff and redelivery."""

import heapq
import itertools

from asgi_tasks.capacity import PUSH_WINDOW, SMALLEST_MESSAGE

from .facts import (
    FEWEST_ACKNOWLEDGED,
    FIRST_WINDOW,
    LATENCY_WINDOW,
    LONGEST_BACKOFF,
    LONGEST_LATENCY,
    SHORTEST_BACKOFF,
)
from .queues import Queue, total

MIN_RETRY_DELAY, MAX_RETRY_DELAY = 10, 600  # a route's, unless it says otherwise


class Subscriptions:
    """Equal subscriptions, between which the messages are divided evenly."""

    def __init__(self, scenario):
        settings = scenario.settings
        size = max(scenario.task.message_bytes, SMALLEST_MESSAGE)
        self._number = settings.subscriptions
        self._quota = settings.push_quota / size
        self._linear_growth = scenario.guesses.linear_growth
        self._waiting = Queue()
        self._failed = []  # (when it is due, number, group)
        self._serial = itertools.count()
        self._window = float(FIRST_WINDOW)  # of one of them
        self._backoff = 0.0
        self._paused_until = 0.0
        self._health = Health()
        self.under_way = 0

    @property
    def backlog(self):
        return self._waiting.count + sum(group.count for _, _, group in self._failed)

    @property
    def window(self):
        """Pushes that may be under way, of all subscriptions."""
        return int(self._window * self._number)

    def publish(self, groups):
        self._waiting.put(groups)

    def push(self, now, step):
        """What is pushed in this step."""
        while self._failed and self._failed[0][0] <= now:
            self._waiting.put([heapq.heappop(self._failed)[2]])
        if now < self._paused_until:
            return []
        count = min(self.window - self.under_way, int(self._quota * step))
        groups = [group._replace(pushed=now) for group in self._waiting.take(max(count, 0))]
        self.under_way += total(groups)
        return groups

    def answered(self, acknowledged, failed, now, step):
        """Learn from the answers of this step, and keep what failed for later."""
        self.under_way -= total(acknowledged) + total(failed)
        for group in failed:
            delay = min(MIN_RETRY_DELAY * 2 ** (group.attempt - 1), MAX_RETRY_DELAY)
            again = group._replace(attempt=group.attempt + 1)
            heapq.heappush(self._failed, (now + delay, next(self._serial), again))
        self._health.note(acknowledged, failed, now, step)
        if failed:
            self._shrink(now)
        elif acknowledged:
            self._backoff = 0.0
            self._grow(total(acknowledged), step)
        if self._window > PUSH_WINDOW and not self._health.good:
            self._window = float(PUSH_WINDOW)

    def _grow(self, acknowledged, step):
        if self._window < PUSH_WINDOW:
            self._window = min(self._window + acknowledged / self._number, PUSH_WINDOW)
        elif self.under_way + acknowledged > self.window / 2:
            self._window += self._linear_growth * step

    def _shrink(self, now):
        if now < self._paused_until:
            return
        self._window = max(self._window / 2, 1.0)
        self._backoff = min(max(2 * self._backoff, SHORTEST_BACKOFF), LONGEST_BACKOFF)
        self._paused_until = now + self._backoff


class Health:
    """How long the pushes of the last seconds took, and how many succeeded."""

    def __init__(self):
        self._seconds = self._acknowledged = self._failed = 0.0

    def note(self, acknowledged, failed, now, step):
        keep = 1 - step / LATENCY_WINDOW
        seconds = sum(group.count * (now + step - group.pushed) for group in acknowledged)
        self._seconds = self._seconds * keep + seconds
        self._acknowledged = self._acknowledged * keep + total(acknowledged)
        self._failed = self._failed * keep + total(failed)

    @property
    def good(self):
        answers = self._acknowledged + self._failed
        return (
            self._seconds <= LONGEST_LATENCY * self._acknowledged
            and self._acknowledged >= FEWEST_ACKNOWLEDGED * answers
        )
