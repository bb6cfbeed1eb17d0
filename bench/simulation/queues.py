"""Messages in order, in groups of those that came in the same step."""

from collections import deque
from typing import NamedTuple


class Group(NamedTuple):
    """Messages that are treated alike. Moments are in seconds."""

    count: int
    enqueued: float
    attempt: int = 1
    pushed: float = 0.0


class Queue:
    def __init__(self):
        self._groups = deque()
        self.count = 0

    def put(self, groups):
        for group in groups:
            self._groups.append(group)
            self.count += group.count

    def take(self, count):
        """The first so many messages, or as many as there are."""
        taken, left = [], min(count, self.count)
        self.count -= left
        while left:
            group = self._groups.popleft()
            if group.count > left:
                self._groups.appendleft(group._replace(count=group.count - left))
                group = group._replace(count=left)
            taken.append(group)
            left -= group.count
        return taken

    def take_pushed_until(self, moment):
        """Those that were pushed until then; only for queues in that order."""
        count = 0
        for group in self._groups:
            if group.pushed > moment:
                break
            count += group.count
        return self.take(count) if count else []


class Stage:
    """A queue before something that serves so many seconds of work in a second."""

    def __init__(self, seconds):
        self.queue = Queue()
        self._seconds = seconds
        self._credit = 0.0

    def serve(self, capacity):
        """Those that are served with `capacity` seconds of work. No work is saved for later."""
        if not self._seconds:
            return self.queue.take(self.queue.count)
        self._credit += capacity / self._seconds
        served = self.queue.take(int(self._credit))
        done = total(served)
        self._credit = min(self._credit - done, 1.0) if self.queue.count else 0.0
        return served


def total(groups):
    return sum(group.count for group in groups)
