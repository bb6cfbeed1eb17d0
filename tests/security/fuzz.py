"""Hostile pushes without end: `make fuzz`, or python -m tests.security.fuzz --cases 1000000.

Each case is a push to PushEndpoint, in this process and without a socket; after every tenth comes a
good one. The first that breaks a promise ends it, with the seed that repeats it. The token lasts an
hour, and so does this.
"""

import argparse
import asyncio
import contextlib
import inspect
import json
import logging
import os
import random
import re
import resource
import sys
import time
from pathlib import Path

import django

from tests.tokens import CertificatesServer

WARM_UP = 2_000  # cases before memory is first looked at


def by_own_mutations(target, options):
    """Cases from the seed on; what to print of them."""
    from .target import STATUSES, flood, run

    with asyncio.Runner() as runner:
        statuses = runner.run(run(target, options.seed, WARM_UP))
        runner.run(flood(target, 20))
        before = memory()
        rest = options.cases - WARM_UP
        more = runner.run(run(target, options.seed, rest, first=WARM_UP)) if rest > 0 else {}
        runner.run(flood(target, options.megabytes))
    statuses = {status: statuses.get(status, 0) + more.get(status, 0) for status in STATUSES}
    return {"statuses": statuses, "kB before": before, "kB after": memory()}


def by_atheris(target, options):
    """Cases that libFuzzer chooses by what they reach; it ends the process itself."""
    import atheris

    from asgi_tasks import dispatch, messages

    from . import mutations

    for module in (dispatch, messages):
        for function in filter(inspect.isfunction, vars(module).values()):
            atheris.instrument_func(function)
    runner, started, done, before = asyncio.Runner(), time.perf_counter(), 0, 0

    def one(data):
        nonlocal done, before
        runner.run(target.check(mutations.hostile(mutations.Bytes(data))))
        done += 1
        if done == WARM_UP:
            before = memory()
        if done == options.cases:
            facts = {"kB before": before, "kB after": memory()}
            show(options, time.perf_counter() - started, facts)

    limits = [f"-runs={options.cases}", f"-seed={options.seed}", "-max_len=1024", "-len_control=0"]
    atheris.Setup([sys.argv[0], *limits, "-rss_limit_mb=1024", "-timeout=60"], one)
    atheris.Fuzz()


def memory():
    """What this process holds, in kB; where Linux does not say so, the most it has held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(re.search(r"VmRSS:\s*(\d+) kB", status.read_text())[1])


def show(options, seconds, facts):
    rate = round(options.cases / seconds)
    print(json.dumps(vars(options) | {"seconds": round(seconds), "cases/s": rate} | facts))


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    parser.add_argument("--megabytes", type=int, default=100, help="malformed bodies of 1 MB")
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    started = time.perf_counter()
    with target_site() as target:
        if options.engine == "atheris":
            by_atheris(target, options)
        else:
            facts = by_own_mutations(target, options)
    show(options, time.perf_counter() - started, facts)


@contextlib.contextmanager
def target_site():
    """A target outside of pytest."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
    django.setup()
    logging.getLogger("asgi_tasks").handlers.clear()

    from .forgeries import AUDIENCE, SIGNER
    from .settings import own_tasks
    from .target import Target

    certificates = CertificatesServer(SIGNER.by_key)
    with (
        contextlib.closing(certificates),
        own_tasks(certificates.url),
        Target(SIGNER.token(AUDIENCE)) as target,
    ):
        yield target


if __name__ == "__main__":
    main()
