from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, register

from .backends import get_backend
from .checks import check_deployment
from .conf import InvalidConfiguration


class AsgiTasksConfig(AppConfig):
    """Brings the management commands and the checks of `check --deploy`."""

    name = "asgi_tasks"
    verbose_name = "ASGI tasks"

    def ready(self) -> None:
        register(check_deploy, Tags.security, deploy=True)


def check_deploy(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    """See check_deployment(). Mistakes in the options are the backend's own checks."""
    backend = get_backend()
    try:
        return list(check_deployment(backend)) if backend else []
    except InvalidConfiguration:
        return []
