"""What task_pause and task_resume share."""

from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from asgi_tasks.backends import require_backend
from asgi_tasks.exceptions import ProvisioningError, TaskNotFound
from asgi_tasks.management.names import unknown_task
from asgi_tasks.management.output import PrintingCommand
from asgi_tasks.provisioning import Pair, PubSubAdmin, Subscription, desired, reporting
from asgi_tasks.provisioning.resources import short
from asgi_tasks.routes import RouteTable


class PauseCommand(PrintingCommand):
    """One task by its name or alias: does something to the subscription of each of its names."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="of the task's route, or one of its aliases")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        try:
            table = require_backend().routes
            pairs = _pairs(table, name)
            account = table.options.push_service_account
            with PubSubAdmin(table.options.project_id, push_account=account) as admin:
                self._do_all(pairs, admin)
        except (ProvisioningError, ImproperlyConfigured) as error:
            raise CommandError("\n".join(reporting.failure_lines(error))) from error

    @abstractmethod
    def do(self, pair: Pair, live: Subscription, admin: PubSubAdmin) -> str:
        """Do it and say so in a line. Raise ProvisioningError."""

    def _do_all(self, pairs: Iterable[Pair], admin: PubSubAdmin) -> None:
        failures: list[str] = []
        for pair in pairs:
            try:
                self.stdout.write(self.do(pair, _existing(pair, admin), admin))
            except ProvisioningError as error:
                failures += reporting.failure_lines(error)
        if failures:
            raise CommandError("\n".join(failures))


def _existing(pair: Pair, admin: PubSubAdmin) -> Subscription:
    live = admin.subscription(pair.subscription.name)
    if live is None:
        name = short(pair.subscription.name)
        raise ProvisioningError(f"There is no subscription {name} yet. Run provision_tasks.")
    return live


def _pairs(table: RouteTable, name: str) -> Iterator[Pair]:
    try:
        route = table.resolve(name)
    except TaskNotFound:
        names = [each for route in table for each in route.names]
        raise CommandError(unknown_task(name, names)) from None
    wanted = {table.subscription(each) for each in route.names}
    return (pair for pair in desired(table).routes if pair.subscription.name in wanted)
