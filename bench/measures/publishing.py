"""Rows 5 to 7: what an enqueue costs, beside what its clients cost and what a peer does."""

from contextlib import ExitStack, contextmanager

from bench.figures import Figure, Measured, alternate, ratios
from bench.load import loading
from bench.servers import serving
from tests.processes import free_port

COUNT = 20_000
LONE = 1_000


def callers_at_once(plan):
    """5: aenqueue() by 500 callers, confirmed by a local server."""
    with enqueuing() as (ours, over_grpc), over_grpc("bench.peer.settings") as peer:
        few = plan.count(COUNT // 5)
        found = alternate(
            plan,
            {
                "joined": lambda: run(ours, "joined", plan.count(COUNT)),
                "apart": lambda: run(ours, "apart", few),
                "raw": lambda: run(ours, "raw", few),
                "peer": lambda: run(peer, "peer", few),
            },
        )
    names = {
        "apart": "the same, a request each",
        "raw": "gcloud-aio alone, a request each, 64 at once",
        "peer": "django-tasks-pubsub with its futures awaited",
    }
    shown = [Figure(name=name, unit="a second", values=found[way]) for way, name in names.items()]
    against = [
        Figure(
            name=f"ours against {name}",
            unit="times",
            values=ratios(found["joined"], found[way]),
            at_least=None if way == "raw" else 5,
        )
        for way, name in names.items()
    ]
    joined = Figure(
        name="aenqueue() by 500 callers", unit="a second", values=found["joined"], at_least=25_000
    )
    return Measured(figures=[joined, *shown, *against])


def lone_call(plan):
    """6: a lone aenqueue() against gcloud-aio's publish, medians."""
    with enqueuing() as (ours, _):
        found = alternate(plan, {"both": lambda: run(ours, "lone", plan.count(LONE))})["both"]
    times = {way: [each[way] for each in found] for way in ("ours", "raw")}
    return Measured(
        figures=[
            in_microseconds("aenqueue()", times["ours"]),
            in_microseconds("gcloud-aio alone", times["raw"]),
            Figure(
                name="aenqueue() against gcloud-aio alone",
                unit="times",
                values=ratios(times["ours"], times["raw"]),
                at_most=1.25,
            ),
        ]
    )


def sync_calls(plan):
    """7: enqueue() from sync code."""
    with enqueuing() as (ours, over_grpc), over_grpc("bench.site.settings") as google:
        found = alternate(
            plan,
            {
                "lone": lambda: run(ours, "lone_sync", plan.count(LONE)),
                "google": lambda: run(google, "google", plan.count(LONE)),
                "threads": lambda: run(ours, "threads", plan.count(COUNT)),
            },
        )
    return Measured(
        figures=[
            in_microseconds("lone enqueue()", found["lone"]),
            in_microseconds("Google's publish().result() without its wait", found["google"]),
            Figure(
                name="lone enqueue() against Google's client",
                unit="times",
                values=ratios(found["lone"], found["google"]),
                at_most=0.6,
            ),
            Figure(
                name="enqueue() by 32 threads",
                unit="a second",
                values=found["threads"],
                at_least=8_000,
            ),
        ]
    )


@contextmanager
def enqueuing():
    """A process that enqueues over REST, and what makes one that does over gRPC."""
    with ExitStack() as stack:
        grpc_port = free_port()
        broker = stack.enter_context(serving(("-m", "bench.broker", "{port}", grpc_port)))

        def process(settings, port):
            host = f"127.0.0.1:{port}"
            return loading(
                "bench.enqueuing", DJANGO_SETTINGS_MODULE=settings, PUBSUB_EMULATOR_HOST=host
            )

        ours = stack.enter_context(process("bench.site.settings", broker.port))
        yield ours, lambda settings: process(settings, grpc_port)


def run(process, way, count):
    return process.ask({"way": way, "count": count})


def in_microseconds(name, seconds):
    return Figure(name=name, unit="µs", values=[1_000_000 * each for each in seconds])
