"""What is counted and measured, by OpenTelemetry's API; nothing at all where nobody loaded that.

Who wants metrics sets up a MeterProvider, and so has loaded the API. docs/reference/telemetry.md
has all names and attributes; those that begin with "messaging" are of
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .exceptions import TracebackCut

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

SYSTEM: Final = {"messaging.system": "gcp_pubsub"}
SEND: Final = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
PROCESS: Final = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
# Upper bounds of a histogram's buckets, in seconds.
OF_CALLS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
OF_RUNS: Final = (*OF_CALLS, 30, 60, 120, 300, 600)
OF_WAITS: Final = (*OF_RUNS, 1800, 3600, 7200, 21_600, 86_400, 604_800)
OF_LAGS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class LaneUse(NamedTuple):
    """How many lanes run a call, how many do not, and how many runs wait for one."""

    used: int
    idle: int
    waiting: int


def count_sent(*, topic: str, seconds: float, error_type: str) -> None:
    """An enqueue ended; the type is empty unless it failed or was cancelled."""
    if made := _instruments():
        attributes = {**SYSTEM, **SEND, **broker(), **of_topic(topic)}
        if error_type:
            attributes["error.type"] = error_type
        made.sent.add(1, attributes)
        made.send_time.record(seconds, attributes)


def delivering(
    *, subscription: str, attempt: int, enqueued_at: datetime
) -> AbstractContextManager[None]:
    """A push is being answered for by its task."""
    made = _instruments()
    return _delivering(made, subscription, attempt, enqueued_at) if made else _NOTHING


def count_delivery(*, subscription: str, outcome: str, seconds: float, error_type: str) -> None:
    """A delivery ended; the type is empty unless it failed."""
    if made := _instruments():
        attributes = {**SYSTEM, **PROCESS, **of_subscription(subscription)}
        attributes["asgi_tasks.outcome"] = outcome
        if error_type:
            attributes["error.type"] = error_type
        made.consumed.add(1, attributes)
        made.process_time.record(seconds, attributes)


def count_refused(status: int) -> None:
    """A push was refused: its task did not run."""
    if made := _instruments():
        made.refused.add(1, {**SYSTEM, "http.response.status_code": status})


def count_certificates_fetch(error: BaseException | None = None) -> None:
    """Google's keys were asked for."""
    if made := _instruments():
        made.certificates.add(1, {"error.type": type_of(error)} if error else {})


def record_lag(seconds: float) -> None:
    """The event loop came so much later than it should have."""
    if made := _instruments():
        made.lag.record(max(0, seconds))


def observe_lanes(use: Callable[[], LaneUse]) -> None:
    """Have the use of the process's lanes measured whenever metrics are collected."""
    global _lanes  # noqa: PLW0603
    _lanes = use


def type_of(error: BaseException) -> str:
    """The attribute error.type: the full name of the error's class."""
    kind = type(error.error if isinstance(error, TracebackCut) else error)
    is_builtin = kind.__module__ == "builtins"
    return kind.__qualname__ if is_builtin else f"{kind.__module__}.{kind.__qualname__}"


def short(name: str) -> str:
    """The last part of a resource's full name."""
    return name.rpartition("/")[2]


def broker() -> dict[str, str]:
    """Where enqueues go."""
    host = os.environ.get("PUBSUB_EMULATOR_HOST") or "pubsub.googleapis.com:443"
    return {"server.address": host.rpartition(":")[0] or host}


def of_topic(name: str) -> dict[str, str]:
    """What is sent to."""
    return {"messaging.destination.name": short(name)}


def of_subscription(name: str) -> dict[str, str]:
    """What is received from: to Google's conventions, that is a destination as well."""
    name = short(name)
    return {"messaging.destination.name": name, "messaging.destination.subscription.name": name}


class _Instruments:
    def __init__(self, meter: "Meter") -> None:
        def histogram(name: str, bounds: Iterable[float], description: str) -> Any:
            return meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=[*bounds]
            )

        count = meter.create_counter
        self.sent = count("messaging.client.sent.messages", "{message}", "Tasks enqueued.")
        self.send_time = histogram(
            "messaging.client.operation.duration", OF_CALLS, "Time of an enqueue."
        )
        self.consumed = count("messaging.client.consumed.messages", "{message}", "Deliveries.")
        self.process_time = histogram(
            "messaging.process.duration", OF_RUNS, "Time from push to answer."
        )
        self.queue_time = histogram(
            "asgi_tasks.queue.duration", OF_WAITS, "Time from enqueue to the first push."
        )
        self.retries = count("asgi_tasks.retries", "{message}", "Deliveries after the first.")
        self.refused = count("asgi_tasks.refused_pushes", "{push}", "Pushes refused.")
        self.active = meter.create_up_down_counter(
            "asgi_tasks.active_deliveries", "{message}", "Pushes not answered yet."
        )
        self.certificates = count(
            "asgi_tasks.certificate.fetches", "{fetch}", "Requests for Google's keys."
        )
        self.lag = histogram(
            "asgi_tasks.event_loop.lag", OF_LAGS, "Delay of the event loop while tasks run."
        )
        meter.create_observable_up_down_counter(
            "asgi_tasks.lane.count", [_count_lanes], "{lane}", "Lanes by state."
        )
        meter.create_observable_up_down_counter(
            "asgi_tasks.lane.pending_runs", [_count_waiting], "{run}", "Runs without a lane."
        )


@contextmanager
def _delivering(
    made: _Instruments, subscription: str, attempt: int, enqueued_at: datetime
) -> Iterator[None]:
    attributes = {**SYSTEM, **of_subscription(subscription)}
    if attempt == 1:
        waited = (datetime.now(UTC) - enqueued_at).total_seconds()
        made.queue_time.record(max(0, waited), attributes)
    else:
        made.retries.add(1, attributes)
    made.active.add(1, attributes)
    try:
        yield
    finally:
        made.active.add(-1, attributes)


def _instruments() -> _Instruments | None:
    global _made  # noqa: PLW0603
    if _made is None and "opentelemetry.metrics" in sys.modules:
        from opentelemetry import metrics  # waits, should another thread be loading it

        _made = _Instruments(metrics.get_meter("asgi_tasks"))
    return _made


def _count_lanes(options: "CallbackOptions") -> "Iterable[Observation]":
    from opentelemetry.metrics import Observation

    use = _lanes()
    yield Observation(use.used, {"asgi_tasks.lane.state": "used"})
    yield Observation(use.idle, {"asgi_tasks.lane.state": "idle"})


def _count_waiting(options: "CallbackOptions") -> "Iterable[Observation]":
    from opentelemetry.metrics import Observation

    yield Observation(_lanes().waiting)


def _no_lanes() -> LaneUse:
    return LaneUse(used=0, idle=0, waiting=0)


_NOTHING: Final = nullcontext()
_made: _Instruments | None = None
_lanes: Callable[[], LaneUse] = _no_lanes
