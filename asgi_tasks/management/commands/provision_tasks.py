from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from asgi_tasks.backends import require_backend
from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.provisioning import PubSubAdmin, desired, plan
from asgi_tasks.routes import RouteTable


class Command(BaseCommand):
    """Create what the routes need in Pub/Sub and is not there yet."""

    help = (
        "Create the topics and subscriptions the task routes need. Run twice, it changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._provision(require_backend().routes)
        except (ProvisioningError, ImproperlyConfigured) as error:
            raise CommandError(error) from error

    def _provision(self, table: RouteTable) -> None:
        with PubSubAdmin(table.options.project_id) as admin:
            missing = plan(desired(table), admin.live())
            for resource in missing:
                verb = "created" if admin.create(resource) else "found"
                self.stdout.write(f"{verb} {resource.name}")
        self.stdout.write(f"Done: {len(missing)} were missing.")
