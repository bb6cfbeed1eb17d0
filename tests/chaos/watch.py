"""The memory and the threads of one process, sampled while it lives."""

import statistics
import threading
import time
from pathlib import Path
from typing import NamedTuple

EVERY = 0.5  # seconds
# What a process may gain between the middle and the end of a run: noise, not a leak.
ALLOWED_GROWTH = 8.0  # MB


class Sample(NamedTuple):
    at: float
    megabytes: float
    threads: int


class Watch:
    """Samples in a thread, where there is /proc."""

    def __init__(self, pid):
        self._status = Path(f"/proc/{pid}/status")
        self.samples = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stopped.set()
        self._thread.join()

    def _run(self):
        while self._status.exists() and not self._stopped.wait(EVERY):
            fields = dict(line.split(":\t", 1) for line in self._status.read_text().splitlines())
            if "VmRSS" in fields:  # it has not ended
                kilobytes = int(fields["VmRSS"].split()[0])
                self.samples.append(Sample(time.time(), kilobytes / 1024, int(fields["Threads"])))

    @property
    def threads(self):
        """The most there were."""
        return max((sample.threads for sample in self.samples), default=0)

    def memory(self):
        """Medians in MB of three thirds: while it warms up, in the middle and at the end."""
        third = len(self.samples) // 3
        if not third:
            return []
        parts = [self.samples[i * third : (i + 1) * third] for i in range(3)]
        return [statistics.median(sample.megabytes for sample in part) for part in parts]

    @property
    def growth(self):
        """MB from the middle to the end."""
        medians = self.memory()
        return medians[2] - medians[1] if medians else 0.0
