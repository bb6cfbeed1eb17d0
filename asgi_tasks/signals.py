"""Django's task signals, sent from an event loop without a thread where none is needed."""

import logging
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal
from django.tasks import TaskResult, signals

type AnyResult = TaskResult[..., Any]

logger = logging.getLogger("asgi_tasks")
_django_logger = logging.getLogger("django.tasks")

# Django's own receivers only write a log line.
_LOGGERS = (signals.log_task_enqueued, signals.log_task_started, signals.log_task_finished)


def is_heard(signal: Signal, sender: type[Any]) -> bool:
    """Whether anybody listens. Django's own loggers count if anything of theirs is logged."""
    sync_receivers, async_receivers = signal._live_receivers(sender)
    for receiver in sync_receivers:
        if receiver not in _LOGGERS:
            return True
    return bool(async_receivers) or _django_logger.isEnabledFor(_LEVELS[signal])


# The highest at which Django's loggers log each of them.
_LEVELS = {
    signals.task_enqueued: logging.DEBUG,
    signals.task_started: logging.INFO,
    signals.task_finished: logging.ERROR,
}


async def asend(signal: Signal, sender: type[Any], task_result: AnyResult) -> None:
    """Send one of Django's task signals. A receiver that raises is logged and changes nothing.

    asend_robust() hops to a thread for the sync receivers, since they may use the ORM. Where only
    Django's loggers listen they are called here.
    """
    sync_receivers, async_receivers = signal._live_receivers(sender)
    for receiver in sync_receivers:
        if receiver not in _LOGGERS:
            break
    else:
        if not async_receivers:
            _call(sync_receivers, signal=signal, sender=sender, task_result=task_result)
            return
    await signal.asend_robust(sender=sender, task_result=task_result)


def _call(receivers: list[Callable[..., Any]], **named: Any) -> None:
    """As send_robust() does, which would look for the receivers once more."""
    for receiver in receivers:
        try:
            receiver(**named)
        except Exception as error:
            logger.exception("Error calling %s (%s)", receiver.__qualname__, error)
