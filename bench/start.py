"""
One start of a server, as the process itself sees it: ``python -m bench.start ours``.

Prints a line of JSON once it listens; with ``--enqueue`` another one after its first awaited
enqueue, and one after its first enqueue of sync code. Then it ends. See bench/measures/starting.py.
"""

import time

BEGAN = time.perf_counter(), time.process_time()

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

# As they start: the settings, the module of the command line, and the application.
STARTS = {
    "daphne": ("bench.site.plain", "daphne.cli", "bench.peer.asgi:application"),
    "ours": ("bench.site.settings", "asgi_tasks.server.__main__", "bench.site.asgi:application"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("kind", choices=STARTS)
    parser.add_argument("--enqueue", action="store_true")
    options = parser.parse_args()
    settings, command_line, application = STARTS[options.kind]
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    serve(command_line, application, enqueues=options.enqueue)


def serve(command_line, application, *, enqueues):
    from importlib import import_module

    module = import_module(command_line)
    from twisted.internet import reactor

    async def tell():
        report()
        if enqueues:
            await enqueue()
        sys.stdout.flush()
        os._exit(0)

    reactor.callWhenRunning(lambda: tasks.append(reactor._asyncioEventloop.create_task(tell())))
    tasks = []  # the loop itself keeps but a weak reference
    module.CommandLineInterface().run(["-b", "127.0.0.1", "-p", "0", application])


async def enqueue():
    import asyncio

    from bench.site.tasks import nothing

    await nothing.aenqueue()
    report()
    await asyncio.to_thread(nothing.enqueue)
    report()


def report():
    now = time.perf_counter(), time.process_time()
    figures = {
        "ms": (now[0] - BEGAN[0]) * 1000,
        "cpu_ms": (now[1] - BEGAN[1]) * 1000,
        "megabytes": resident(),
        "modules": sorted(sys.modules),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
