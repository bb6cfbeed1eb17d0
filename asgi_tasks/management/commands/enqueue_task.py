from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskException

from asgi_tasks.exceptions import EnqueueError, EnqueueUnconfirmed
from asgi_tasks.management.calling import Call, CallCommand
from asgi_tasks.signals import AnyResult

IN_DOUBT = 2  # the exit status of a task that may have been published


class Command(CallCommand):
    """Enqueue a task, and print its id."""

    help = (
        "Enqueue a task through the configured backend and print its id. Exits with 1 if it was "
        "not enqueued, with 2 if that is not known."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        call = self.read_call(options)
        result = _enqueue(call)
        self.stdout.write(result.id)
        if options["verbosity"] >= 2:
            backend = type(call.task.get_backend()).__name__
            said = f"{call.task.module_path}, {result.status}, by {backend}"
            self.stderr.write(said, self.style.NOTICE)
        if result.status == TaskResultStatus.FAILED:  # a backend that runs it at once
            raise CommandError(f"{call.name} failed: {_last_line(result)}")


def _enqueue(call: Call) -> AnyResult:
    try:
        return call.task.enqueue(*call.args, **call.kwargs)
    except EnqueueUnconfirmed as error:
        raise CommandError(f"{error} Its id is {error.task_id}.", returncode=IN_DOUBT) from error
    except (EnqueueError, TaskException, ImproperlyConfigured) as error:
        raise CommandError(error) from error


def _last_line(result: AnyResult) -> str:
    """ValueError: what it said"""
    return result.errors[-1].traceback.rstrip().rpartition("\n")[2]
