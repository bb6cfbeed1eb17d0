"""Row 11: from the call of aenqueue() to the start of the task."""

import itertools
import statistics
import time
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from bench.emulator import emulator, get
from bench.figures import Curve, Figure, Measured, Plot, alternate
from bench.load import loading
from bench.servers import ours, serving_sites
from tests.processes import python

SECONDS = {10: 3, 100: 2, 1_000: 2}  # of calls, by how many there are a second
TIMEOUT = 30  # seconds until a task that does not start is a failure


class Times(NamedTuple):
    """What became of the calls of a round, in milliseconds each."""

    started: list  # until the task had started
    confirmed: list  # until aenqueue() returned
    a_second: float  # calls that were made


def enqueue_to_start(plan):
    """11: from the call of aenqueue() to the start of the task, through the emulator."""
    with serving() as loop:
        seeds = itertools.count()

        def round_at(rate):
            count = plan.count(rate * SECONDS[rate], 20)
            return lambda: loop.call(rate, count, next(seeds))

        loop.call(100, 50, next(seeds))  # the push window widens, and all import
        found = alternate(plan, {rate: round_at(rate) for rate in SECONDS}, warm_up=False)
    return describe(found)


@contextmanager
def serving():
    """The production loop: who calls, the emulator, and a site that it pushes to."""
    with ExitStack() as stack:
        site = stack.enter_context(serving_sites())
        broker = stack.enter_context(emulator())
        url = broker.wait_for(r"listening on (http://\S+)")[1]
        variables = {
            "PUBSUB_EMULATOR_HOST": url.removeprefix("http://"),
            "BENCH_CERTS_URL": f"{url}/oauth2/v1/certs",
        }
        server, _ = site.serve(*ours(), **variables)
        variables |= {
            "BENCH_SERVICE_URL": f"http://127.0.0.1:{server.port}",
            "DJANGO_SETTINGS_MODULE": "bench.site.settings",
        }
        python("-m", "django", "provision_tasks", env=variables)
        callers = stack.enter_context(loading("bench.callers", **variables))
        yield Loop(callers, f"http://127.0.0.1:{server.port}/started/")


class Loop:
    """Who calls, and what tells of the tasks that started."""

    def __init__(self, callers, started_url):
        self._callers = callers
        self._started_url = started_url

    def call(self, rate, count, seed):
        """The times of so many calls."""
        answer = self._callers.ask({"a_second": rate, "count": count, "seed": seed})
        return Times(
            started=[1000 * (ran - called) for called, ran in self._started(count)],
            confirmed=[1000 * seconds for seconds in answer["confirmed"]],
            a_second=count / answer["seconds"],
        )

    def _started(self, count):
        """When each was called and when it ran, once all have."""
        until, found = time.monotonic() + TIMEOUT, []
        while len(found) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} tasks have started"
            time.sleep(0.05)
            found += get(self._started_url)["started"]
        return found


def describe(found):
    measures = {"median": statistics.median, "99th percentile": last}
    fastest = max(found)
    return Measured(
        figures=[
            Figure(
                name=f"until the task starts, {rate:,} calls a second, {name}",
                unit="ms",
                values=[measure(times.started) for times in rounds],
            )
            for rate, rounds in found.items()
            for name, measure in measures.items()
        ]
        + [
            Figure(
                name=f"until aenqueue() returns, {rate:,} calls a second, median",
                unit="ms",
                values=[statistics.median(times.confirmed) for times in rounds],
            )
            for rate, rounds in found.items()
        ]
        + [
            Figure(
                name=f"calls made where {fastest:,} were due",
                unit="a second",
                values=[times.a_second for times in found[fastest]],
            )
        ],
        plots=[
            Plot(
                title="From the call of aenqueue() to the start of the task",
                x="calls a second",
                y="ms",
                curves=[
                    Curve(name=name, points=points(found, measure))
                    for name, measure in measures.items()
                ],
                is_log_x=True,
            )
        ],
    )


def points(found, measure):
    return [
        (rate, statistics.median(measure(times.started) for times in rounds))
        for rate, rounds in found.items()
    ]


def last(times):
    """The 99th percentile: of less than a hundred, about the slowest."""
    return statistics.quantiles(times, n=100, method="inclusive")[98]
