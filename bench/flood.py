"""
Pushes beside two thousand strangers, under our server and under Daphne: ``python -m bench.flood``.

What the strangers do is written in tests/reliability/flood.py.
"""

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from asgi_tasks.management.arguments import number_from
from bench.arguments import Parser, run
from tests.reliability.flood import besiege, enough_files
from tests.reliability.serving import push_headers, serving
from tests.tokens import CertificatesServer, Signer


def main():
    parser = Parser(prog="bench.flood", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=number_from(int, 1), default=15)
    seconds = parser.parse_args().seconds
    signer = Signer()
    with enough_files(), contextlib.closing(CertificatesServer(signer.by_key)) as certificates:
        for module in ("asgi_tasks.server", "daphne"):
            with (
                tempfile.TemporaryDirectory() as folder,
                serving(Path(folder), module=module, TESTS_CERTS_URL=certificates.url) as served,
            ):
                siege = asyncio.run(besiege(served, push_headers(served, signer), seconds))
            sys.stdout.write("\n  ".join([module, *siege.lines()]) + "\n")


if __name__ == "__main__":
    run(main)
