"""Row 10: whether 200,000 pushes leave anything behind in the process."""

import statistics
import time
from typing import NamedTuple

from bench.figures import Curve, Figure, Measured, Plot
from bench.load import loading
from bench.measures.pushes import nothing, push
from bench.servers import PUSH_PATH, ours, serving_sites

PUSHES = 200_000
FEWEST = 400  # when tests run it
STRETCHES = 5
SAMPLES = 4  # a stretch
CLOSING = 5  # seconds in which the server may notice that connections are closed


class Sample(NamedTuple):
    """What the process holds when nothing is under way."""

    pushes: int
    megabytes: float
    files: int


def pushes_leave_nothing(plan):
    """10: 200,000 pushes into one process."""
    total = plan.count(PUSHES, FEWEST)
    size = total // (STRETCHES * SAMPLES)
    with loading() as load, serving_sites() as site:
        server, headers = site.serve(*ours())

        def send():
            arguments = (PUSH_PATH, "bench.bodies.ours", size, nothing())
            push(server, load, *arguments, headers=headers, ahead=False)

        idle = server.files
        start = sample(server, 0, idle)
        send()  # it imports, and fills its caches
        samples = [sample(server, 0, idle)]
        for number in range(STRETCHES * SAMPLES):
            send()
            samples.append(sample(server, (number + 1) * size, idle))
    return describe(total, start, samples)


def sample(server, pushes, idle):
    """What it holds, once it has closed the connections of the load."""
    until = time.monotonic() + CLOSING
    while server.files > idle and time.monotonic() < until:
        time.sleep(0.01)
    return Sample(pushes, server.megabytes, server.files)


def describe(total, start, samples):
    stretches = [samples[n * SAMPLES :][: SAMPLES + 1] for n in range(STRETCHES)]
    memory = [(each.pushes, each.megabytes) for each in samples]
    return Measured(
        figures=[
            Figure(name="memory before the first push", unit="MB", values=[start.megabytes]),
            Figure(
                name="memory after each fifth of the pushes",
                unit="MB",
                values=[stretch[-1].megabytes for stretch in stretches],
            ),
            Figure(
                name="growth in all, by the slope of each fifth",
                unit="MB",
                values=[total * slope(stretch) for stretch in stretches],
                at_most=5,
            ),
            Figure(
                name="growth in all, by the slope of the second half",
                unit="MB",
                values=[total * slope(samples[len(samples) // 2 :])],
                at_most=5,
            ),
            Figure(
                name="file descriptors more, after each fifth",
                unit="files",
                values=[stretch[-1].files - start.files for stretch in stretches],
                at_most=0,
            ),
        ],
        plots=[
            Plot(
                title="Memory of one process",
                x="pushes",
                y="resident memory (MB)",
                curves=[Curve(name="our server", points=memory)],
            )
        ],
    )


def slope(samples):
    """MB a push, by least squares."""
    pushes, megabytes = zip(*((each.pushes, each.megabytes) for each in samples), strict=True)
    return statistics.linear_regression(pushes, megabytes).slope
