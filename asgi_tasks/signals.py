"""Django's task signals, sent from an event loop without a thread where none is needed."""

import logging
from collections.abc import Callable
from typing import Any
from weakref import ref

from django.dispatch import Signal
from django.tasks import TaskResult, signals

type AnyResult = TaskResult[..., Any]

_django_logger = logging.getLogger("django.tasks")
# Django's own receivers only write a log line.
_LOGGERS = (signals.log_task_enqueued, signals.log_task_started, signals.log_task_finished)
# The highest level at which they write one.
_LEVELS = {
    signals.task_enqueued: logging.DEBUG,
    signals.task_started: logging.INFO,
    signals.task_finished: logging.ERROR,
}


def _is_djangos(entry: Any) -> bool:
    return isinstance(entry[1], ref) and entry[1]() in _LOGGERS


# As Django connected them: where a signal has these alone, nobody else has to be looked for.
_DJANGOS = {signal: [*filter(_is_djangos, signal.receivers)] for signal in _LEVELS}


def send(signal: Signal, sender: type[Any], make_result: Callable[[], AnyResult]) -> None:
    """Send one of Django's task signals. A receiver that raises is logged and changes nothing.

    The result is made if somebody hears it.
    """
    if any(_listening(signal, sender)):
        signal.send_robust(sender=sender, task_result=make_result())


async def asend(signal: Signal, sender: type[Any], make_result: Callable[[], AnyResult]) -> None:
    """See send().

    asend_robust() hops to a thread for the sync receivers, since they may use the ORM. Where only
    Django's loggers listen they are called here.
    """
    do_others, do_loggers = _listening(signal, sender)
    if do_others:
        await signal.asend_robust(sender=sender, task_result=make_result())
    elif do_loggers:
        signal.send_robust(sender=sender, task_result=make_result())


def _listening(signal: Signal, sender: type[Any]) -> tuple[bool, bool]:
    """Whether others than Django's loggers listen, and whether these log anything."""
    do_log = _django_logger.isEnabledFor(_LEVELS[signal])
    if signal.receivers == _DJANGOS[signal]:
        return False, do_log
    sync_receivers, async_receivers = signal._live_receivers(sender)
    do_others = bool(async_receivers) or not all(each in _LOGGERS for each in sync_receivers)
    return do_others, do_log
