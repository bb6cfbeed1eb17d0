import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from asgi_tasks.emulator import cli


class Command(BaseCommand):
    """The same as ``python -m asgi_tasks.emulator``."""

    help = cli.DESCRIPTION
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        cli.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        if status := cli.run(options):
            raise SystemExit(status)
