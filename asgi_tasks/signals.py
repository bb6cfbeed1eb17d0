"""Django's task signals, sent from an event loop without a thread where none is needed."""

from typing import Any

from django.dispatch import Signal
from django.tasks import TaskResult, signals

type AnyResult = TaskResult[..., Any]

# Django's own receivers only write a log line.
_LOGGERS = (signals.log_task_enqueued, signals.log_task_started, signals.log_task_finished)


async def asend(signal: Signal, sender: type[Any], task_result: AnyResult) -> None:
    """Send one of Django's task signals. A receiver that raises is logged and changes nothing.

    asend_robust() hops to a thread for the sync receivers, since they may use the ORM. Where only
    Django's loggers listen they are called here.
    """
    sync_receivers, async_receivers = signal._live_receivers(sender)
    if async_receivers or not all(map(_is_logger, sync_receivers)):
        await signal.asend_robust(sender=sender, task_result=task_result)
    else:
        signal.send_robust(sender=sender, task_result=task_result)


def _is_logger(receiver: object) -> bool:
    return any(receiver is logger for logger in _LOGGERS)
