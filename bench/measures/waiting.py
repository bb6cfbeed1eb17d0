"""Row 4: a thousand tasks that wait at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.figures import Figure, Measured, ratios
from bench.load import loading
from bench.measures.pushes import push
from bench.servers import PEER_PATH, PUSH_PATH, gunicorn, ours, serving_sites

LANES = 8  # the default of the option `threads`
COUNT = 1_000
SECONDS = 1  # each of them
WARM_UP = 10
SAMPLE = 0.02  # seconds between two looks at the server


def beside_a_peer(plan):
    """4: against django-tasks-pubsub, whose tasks hold a thread while they wait.

    Its rounds run at the same time, on a server each: they sleep. They take 26 s where its two
    processes have accepted as many connections each, and longer where chance was less kind, the
    same when one runs alone.
    """
    count = plan.count(COUNT)
    with serving_sites() as site:
        runs = wait_on_ours(plan, site, count)
        peers = wait_on_peers(plan, site, count)
    seconds = [run.seconds for run in runs]
    what = f"{count:,} pushes of a task that waits {SECONDS} s"
    return Measured(
        figures=[
            Figure(name=what, unit="s", values=seconds, at_most=1.5),
            Figure(
                name=f"{what}: threads",
                unit="threads",
                values=[run.threads for run in runs],
                at_most=LANES + 3,
            ),
            Figure(
                name=f"{what}: memory, more than after {WARM_UP} pushes",
                unit="MB",
                values=[run.growth for run in runs],
                at_most=30,
            ),
            Figure(
                name=f"{what}: django-tasks-pubsub, gunicorn 2 x 20 threads",
                unit="s",
                values=peers,
            ),
            Figure(
                name="ours against it", unit="times", values=ratios(peers, seconds), at_least=15
            ),
        ]
    )


def wait_on_ours(plan, site, count):
    server, headers = site.serve(*ours())

    def send(load, number):
        return push(
            server,
            load,
            PUSH_PATH,
            "bench.bodies.ours",
            number,
            {"task": "wait", "args": [SECONDS]},
            headers=headers,
            connections=number,
        )

    with loading() as load:
        send(load, WARM_UP)
        before = server.megabytes
        return [watch(server, before, lambda: send(load, count)) for _ in range(plan.rounds)]


def wait_on_peers(plan, site, count):
    """The seconds of each round."""
    peer = {"DJANGO_SETTINGS_MODULE": "bench.peer.settings"}

    def send(server, load):
        return push(
            server,
            load,
            PEER_PATH,
            "bench.bodies.pubsub",
            count,
            {"task": "wait", "args": [SECONDS]},
            connections=count,
        )

    with ExitStack() as stack, ThreadPoolExecutor(plan.rounds) as threads:
        servers = [site.serve_other(*gunicorn(), **peer) for _ in range(plan.rounds)]
        loads = [stack.enter_context(loading()) for _ in servers]
        return [run.seconds for run in threads.map(send, servers, loads)]


def watch(server, before, run):
    """What the run gives, with the most threads and megabytes there were meanwhile."""
    threads, megabytes, is_over = [], [], threading.Event()

    def look():
        while not is_over.wait(SAMPLE):
            threads.append(server.threads)
            megabytes.append(server.megabytes)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        found = run()
    finally:
        is_over.set()
        watcher.join()
    found.threads = max(threads)
    found.growth = max(megabytes) - before
    return found
