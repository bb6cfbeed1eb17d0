"""Row 9: what a process costs before it has done anything."""

import json
import os
import subprocess
import sys

from asgi_tasks.testing import emulator_process
from bench.emulator import put
from bench.figures import Figure, Measured, alternate
from bench.load import loading
from bench.measures.pushes import nothing, push
from bench.servers import PUSH_PATH, ours, serving_sites

TOPIC = "projects/bench/topics/dev-tasks-nothing"
TRIES = 3  # in each round, of which the shortest counts: all else is the machine's
# An installed package is compiled; the warm-up compiles ours.
NOT_KEPT = ("DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE")


def beside_daphne(plan):
    """9: against Daphne with the same settings, but for the backend."""
    with emulator_process() as emulator:
        put(f"{emulator.url}/v1/{TOPIC}", {})
        address = emulator.url.removeprefix("http://")
        found = alternate(
            plan,
            {
                "daphne": lambda: start("daphne"),
                "ours": lambda: start("ours", "--enqueue", PUBSUB_EMULATOR_HOST=address),
            },
        )
    bare = [points[0] for points in found["daphne"]]

    def at(number):
        return [points[number] for points in found["ours"]]

    firsts = [first_push() for _ in range(plan.rounds)]
    return Measured(
        figures=[
            *figures_of("django.setup() and Daphne, ready", bare),
            *more("ready to receive a push", at(0), bare, ms=40, megabytes=5),
            *more("after the first awaited enqueue", at(1), bare, ms=150, megabytes=15),
            *more("after the first enqueue of sync code", at(2), bare),
            Figure(
                name="modules of grpc, in the end",
                unit="modules",
                values=[count_of_grpc(points[-1]) for points in found["ours"]],
                at_most=0,
            ),
            Figure(
                name="first push, for which Google's certificates are fetched",
                unit="ms",
                values=firsts,
            ),
        ]
    )


def figures_of(name, points):
    yield Figure(name=name, unit="ms", values=[point["ms"] for point in points])
    yield Figure(name=name, unit="MB", values=[point["megabytes"] for point in points])


def more(name, points, bare, *, ms=None, megabytes=None):
    """What we take more than Daphne alone, round by round."""
    for unit, most in {"ms": ms, "cpu_ms": ms, "megabytes": megabytes}.items():
        yield Figure(
            name=f"{name}: more than that" + (", processor time" if unit == "cpu_ms" else ""),
            unit="MB" if unit == "megabytes" else "ms",
            values=[point[unit] - alone[unit] for point, alone in zip(points, bare, strict=True)],
            at_most=most,
        )


def start(*arguments, **variables):
    """The points of a start, each the shortest of some tries."""
    tries = [one_start(arguments, variables) for _ in range(TRIES)]
    return [
        {name: min(point[name] for point in points) for name in ("ms", "cpu_ms", "megabytes")}
        | {"modules": points[0]["modules"]}
        for points in zip(*tries, strict=True)
    ]


def one_start(arguments, variables):
    done = subprocess.run(
        [sys.executable, "-m", "bench.start", *arguments],
        env={k: v for k, v in os.environ.items() if k not in NOT_KEPT} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def count_of_grpc(point):
    return sum(name.partition(".")[0] in ("grpc", "grpc_status") for name in point["modules"])


def first_push():
    """Milliseconds of a server's first push."""
    with serving_sites() as site, loading() as load:
        server, headers = site.serve(*ours())
        sent = push(server, load, PUSH_PATH, "bench.bodies.ours", 1, nothing(), headers=headers)
        return sent.seconds * 1000
