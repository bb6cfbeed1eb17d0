"""Run one task: a coroutine on the loop, a function in a lane, under a deadline.

A run is an asyncio task of its own, not its connection's, so that a redelivery to the same process
joins it. It is cancelled when the last who waits for it has left.
"""

import asyncio
import functools
import hashlib
import inspect
import logging
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import ClassVar

from asgiref.sync import sync_to_async
from django.dispatch import Signal
from django.tasks.signals import task_finished, task_started

from . import eager, signals, tracing
from .attempts import Attempt
from .deliveries import Delivery, Outcome, Report, tell
from .lanes import Borrower, Lanes, TransactionLeftOpen, run_tidily
from .messages import TaskMessage
from .tracing import NOT_TRACED, DeliverySpan
from .watchdog import watching

logger = logging.getLogger("asgi_tasks")

# How long a run that outlived its answer is remembered, in seconds: the longest ack deadline.
REMEMBERED = 600
# How long a coroutine may take to end after it was cancelled before it is answered for. Seconds.
GRACE = 1
# What send_robust() lets through.
OF_RECEIVERS = (TransactionLeftOpen, SystemExit)
RECEIVER_FAILED = "A receiver of a task's signal failed"


type _Key = tuple[asyncio.AbstractEventLoop, str, str]


async def execute(delivery: Delivery, lanes: Lanes) -> Report:
    """Run the delivery's task, or join the run of the same task id that is under way."""
    key = (asyncio.get_running_loop(), delivery.route.name, delivery.message.task_id)
    run = _runs.get(key)
    # An open route's publishers choose their ids: the same one may be another message.
    if run is None or not run.is_of(delivery.message):
        kind = _CoroutineRun if _is_coroutine(delivery.route.task.func) else _SyncRun
        run = _runs[key] = kind(key, delivery, lanes)
        waiting = run.start()
    else:
        waiting = run.join(delivery)
    try:
        report = await waiting
    except asyncio.CancelledError:
        if not run.has_told(delivery):
            tell(delivery, Report(Outcome.INTERRUPTED))
        raise
    if not run.has_told(delivery):
        tell(delivery, report)
    return report


class _Run(ABC):
    """A task under way, and those who wait for it."""

    _given_up: ClassVar[Outcome]  # of who waits, when another has cancelled it

    def __init__(self, key: _Key, delivery: Delivery, lanes: Lanes) -> None:
        self.delivery = delivery
        self._key = key
        self._borrower = Borrower(lanes)
        self._waiting = [delivery]
        self._was_left = False
        self._choosing = threading.Lock()  # who tells of a delivery: the run, or who waits for it
        self._concluded: Report | None = None
        self._told: Delivery | None = None  # the one whose line the run has written
        self._fingerprint = b""  # of the message, once that itself is not needed any more
        self._task: asyncio.Task[Report]
        self._span = NOT_TRACED

    async def start(self) -> Report:
        """See join()."""
        task = eager.start(self._main())
        if task.done():
            self._when_done(task)
        else:
            self._go_on()
        return await self._wait(self.delivery)

    def _go_on(self) -> None:
        """After the first step: it has to wait."""
        self._task.add_done_callback(self._when_done)

    async def _wait(self, delivery: Delivery) -> Report:
        """The report for this delivery, by its own deadline."""
        loop = asyncio.get_running_loop()
        try:
            if not self._task.done():
                await asyncio.wait({self._task}, timeout=self._give_up_at(delivery) - loop.time())
            if self._task.cancelled():
                return Report(self._given_up)
            if self._task.done():
                return self._task.result()
            if concluded := self._stop_waiting(delivery):  # only Django's receivers still run
                return concluded
            report = self._give_up()
            self._tell_span(delivery, report.outcome)
            return report
        except asyncio.CancelledError:
            self._tell_span(delivery, Outcome.INTERRUPTED)
            raise
        finally:
            self._stop_waiting(delivery)
            if not self._waiting and not self._task.done():
                self._was_left = True
                self._leave()

    async def join(self, delivery: Delivery) -> Report:
        """The report for another delivery. The run's own span is of the one that began it."""
        self._waiting.append(delivery)
        with _span_of(delivery, self._span) as span:
            report = await self._wait(delivery)
            span.tell(report.outcome.word, is_failure=report.outcome.is_failure)
            return report

    def has_told(self, delivery: Delivery) -> bool:
        """Whether the run has written the line of this delivery."""
        return self._told is delivery

    def _stop_waiting(self, delivery: Delivery) -> Report | None:
        """How the run has ended, if it has; if not, it will not tell of this delivery."""
        with self._choosing:
            if delivery in self._waiting:
                self._waiting.remove(delivery)
            return self._concluded

    def is_of(self, message: TaskMessage) -> bool:
        """Whether this is the run of that message, and has not just been cancelled."""
        if self._task.cancelled():
            return False
        if self._fingerprint:
            return self._fingerprint == _fingerprint(message)
        return self.delivery.message == message

    def _give_up_at(self, delivery: Delivery) -> float:
        return delivery.deadline + GRACE

    def _give_up(self) -> Report:
        return Report(Outcome.TIMED_OUT)

    def _leave(self) -> None:
        if self._concluded is None:
            self._task.cancel()

    async def _main(self) -> Report:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._task = task
        with self._borrower, _span_of(self.delivery) as self._span:
            return await self._run()

    def _conclude(self, report: Report, error: BaseException | None = None) -> Report:
        """Tell of the run in the name of the first delivery that still waits for it."""
        with self._choosing:
            waiting = self._told = next(iter(self._waiting), None)
            self._concluded = report
        self._span.tell(report.outcome.word, error, is_failure=report.outcome.is_failure)
        tell(waiting or self.delivery, report, error, late=waiting is None)
        return report

    def _tell_span(self, delivery: Delivery, outcome: Outcome) -> None:
        """The push that began the run is answered before the run has ended."""
        if delivery is self.delivery:
            self._span.tell(outcome.word)

    @abstractmethod
    async def _run(self) -> Report: ...

    def _is_stopped(self, error: BaseException) -> bool:
        """Whether the run was stopped. All else is a failure, as with Django's own backends."""
        if isinstance(error, asyncio.CancelledError):  # or was it something the task waited for?
            return self._task.cancelling() > 0
        return isinstance(error, KeyboardInterrupt | GeneratorExit)

    def _shrink(self) -> None:
        """Let go of the arguments, which may be megabytes."""
        message = self.delivery.message
        self._fingerprint = _fingerprint(message)
        self.delivery = replace(self.delivery, message=replace(message, args=[], kwargs={}))
        self._told = None

    def _forget(self) -> None:
        if _runs.get(self._key) is self:
            del _runs[self._key]

    def _when_done(self, task: asyncio.Task[Report]) -> None:
        is_over = task.cancelled() or task.exception() or not self._was_left
        if is_over or not task.result().outcome.is_acknowledged:
            self._forget()
        else:  # Nobody was answered yet; the redelivery shall be, without a second run.
            self._shrink()
            task.get_loop().call_later(REMEMBERED, self._forget)


class _CoroutineRun(_Run):
    """A coroutine task, on the event loop."""

    _given_up = Outcome.INTERRUPTED
    _clock: asyncio.Timeout | None = None  # of the task's function
    _deadline: float | None = None  # what waits for nothing needs none

    def _go_on(self) -> None:
        super()._go_on()
        self._deadline = self.delivery.deadline
        if self._clock and self._clock.when() is None and self._concluded is None:
            self._clock.reschedule(self._deadline)

    async def _run(self) -> Report:
        attempt = Attempt(self.delivery)
        label = f"{self.delivery.route.name} (id={self.delivery.message.task_id})"
        await _atell(task_started, attempt)
        if asyncio.get_running_loop().time() >= self.delivery.deadline:
            self._deadline = self.delivery.deadline
        try:
            async with asyncio.timeout_at(self._deadline) as clock:
                self._clock = clock
                with watching(label):
                    value = await attempt.call()
        except BaseException as error:
            if self._is_stopped(error):
                raise
            report = self._conclude(*attempt.fail(error, timed_out=clock.expired()))
            if attempt.is_whole:  # Django's logger takes the traceback from this handler
                await _atell(task_finished, attempt)
                return report
        else:
            report = self._conclude(*attempt.succeed(value))
        await _atell(task_finished, attempt)
        return report


class _SyncRun(_Run):
    """A function, in a lane. Its thread cannot be stopped; who waits for it can leave.

    It is decided once, by whoever comes first: its thread starts it, or the last who waits for a
    lane prevents it. After that it runs to its end, or never.
    """

    _given_up = Outcome.NO_LANE

    def __init__(self, key: _Key, delivery: Delivery, lanes: Lanes) -> None:
        super().__init__(key, delivery, lanes)
        self._deciding = threading.Lock()
        self._is_decided = False  # that it runs, or that it never will

    async def _run(self) -> Report:
        return await sync_to_async(self._run_in_lane)()

    def _run_in_lane(self) -> Report:
        if not self._decide():
            return Report(Outcome.NO_LANE)
        attempt = Attempt(self.delivery)
        _tell(task_started, attempt)
        try:
            value = run_tidily(attempt.call)
        except BaseException as error:
            if self._is_stopped(error):
                raise
            report = self._conclude(*attempt.fail(error))
            if attempt.is_whole:  # Django's logger takes the traceback from this handler
                _tell(task_finished, attempt)
                return report
        else:
            report = self._conclude(*attempt.succeed(value))
        _tell(task_finished, attempt)
        return report

    def _give_up_at(self, delivery: Delivery) -> float:
        return delivery.deadline

    def _give_up(self) -> Report:
        return Report(Outcome.NO_LANE if self._prevent() else Outcome.TIMED_OUT)

    def _leave(self) -> None:
        self._prevent()

    def _prevent(self) -> bool:
        """Whether the run could be kept from starting."""
        if not self._decide():
            return False
        self._task.cancel()
        self._forget()
        return True

    def _decide(self) -> bool:
        """Whether the caller is the first to decide."""
        with self._deciding:
            is_first, self._is_decided = not self._is_decided, True
            return is_first


def _span_of(
    delivery: Delivery, joined: DeliverySpan | None = None
) -> AbstractContextManager[DeliverySpan]:
    if not tracing.is_loaded():
        return tracing.NO_SPAN
    attributes: dict[str, str | int] = {
        "asgi_tasks.task.id": delivery.message.task_id,
        "asgi_tasks.task.name": delivery.route.name,
        "code.function.name": delivery.route.task.module_path,
        "messaging.gcp_pubsub.message.delivery_attempt": delivery.attempt,
        "messaging.message.id": delivery.message_id,
    }
    return tracing.processing(delivery.subscription, delivery.attributes, attributes, joined)


def _fingerprint(message: TaskMessage) -> bytes:
    return hashlib.sha256(repr(message).encode()).digest()


def _tell(signal: Signal, attempt: Attempt) -> None:
    """In a lane. Whatever the receivers do, it changes no answer."""
    sender = attempt.delivery.sender
    try:
        run_tidily(lambda: signals.send(signal, sender, lambda: attempt.result))
    except OF_RECEIVERS:
        logger.exception(RECEIVER_FAILED)


async def _atell(signal: Signal, attempt: Attempt) -> None:
    """See _tell()."""
    try:
        await signals.asend(signal, attempt.delivery.sender, lambda: attempt.result)
    except OF_RECEIVERS:
        logger.exception(RECEIVER_FAILED)


_is_coroutine = functools.cache(inspect.iscoroutinefunction)
_runs: dict[_Key, _Run] = {}
