"""Spans of enqueues and deliveries, by OpenTelemetry's API; none where nobody loaded that.

Who wants traces sets up a TracerProvider, and so has loaded the API.
https://opentelemetry.io/docs/specs/semconv/messaging/gcp-pubsub/
"""

import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .metrics import PROCESS, SEND, SYSTEM, broker, of_subscription, of_topic, short, type_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, Tracer

type Attributes = Mapping[str, str | int]

# Google's clients look for theirs in a message's attributes; everybody else for W3C's.
PREFIXES: Final = ("googclient_", "")
FIELDS: Final = ("traceparent", "tracestate")
LONGEST: Final = 1024  # bytes of an attribute that Pub/Sub takes


class DeliverySpan:
    """The span of a delivery. How the push was answered ends it; what comes later is an event."""

    def __init__(self, span: "Span | None" = None) -> None:
        self._span = span
        self._is_told = False

    def tell(
        self, outcome: str, error: BaseException | None = None, *, is_failure: bool = True
    ) -> None:
        """Say how it ended."""
        span = self._span
        if span is None:
            return
        if self._is_told:
            span.add_event("asgi_tasks.late", {"asgi_tasks.outcome": outcome})
            return
        self._is_told = True
        span.set_attribute("asgi_tasks.outcome", outcome)
        if error:
            _record(span, error)
        if is_failure:
            _fail(span, type_of(error) if error else outcome, outcome)

    def tell_interrupted(self, error: BaseException) -> None:
        """Say that nobody knows how it would have ended, unless that was told already."""
        if not self._is_told:
            self.tell("was interrupted", error)

    @property
    def context(self) -> "SpanContext | None":
        """By which other spans link to it."""
        return self._span.get_span_context() if self._span else None


def sending(topic: str, attributes: Attributes) -> AbstractContextManager[dict[str, str]]:
    """A PRODUCER span. Its value is what the message has to carry for the run to follow it."""
    api = _api()
    return _sending(api, topic, attributes) if api else NO_CARRIER


def processing(
    subscription: str,
    carrier: Mapping[str, str],
    attributes: Attributes,
    joined: DeliverySpan | None = None,
) -> AbstractContextManager[DeliverySpan]:
    """A CONSUMER span: the child of the enqueue's, wherever that was.

    It links to that as well, to the request that brings the push, and to the delivery whose run
    is ``joined``.
    """
    api = _api()
    return _processing(api, subscription, carrier, attributes, joined) if api else NO_SPAN


def note(attributes: Attributes) -> None:
    """Say more of the span under way."""
    if api := _api():
        api.get_current_span().set_attributes(attributes)


class Place(NamedTuple):
    """Where in a trace."""

    trace_id: str  # 32 hexadecimal digits
    span_id: str  # 16
    is_sampled: bool


def place() -> Place | None:
    """Of the span under way."""
    if api := _api():
        context = api.get_current_span().get_span_context()
        if context.is_valid:
            sampled = context.trace_flags.sampled
            return Place(f"{context.trace_id:032x}", f"{context.span_id:016x}", sampled)
    return None


@contextmanager
def _sending(api: Any, topic: str, attributes: Attributes) -> Iterator[dict[str, str]]:
    with _tracer(api).start_as_current_span(
        f"send {short(topic)}",
        kind=api.SpanKind.PRODUCER,
        attributes={**SYSTEM, **SEND, **broker(), **of_topic(topic), **attributes},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield _carrier()
        except BaseException as error:
            _record(span, error)
            _fail(span, type_of(error), str(error))
            raise


@contextmanager
def _processing(
    api: Any,
    subscription: str,
    carrier: Mapping[str, str],
    attributes: Attributes,
    joined: DeliverySpan | None,
) -> Iterator[DeliverySpan]:
    parent, request = _sender(carrier), api.get_current_span().get_span_context()
    linked = [parent, request if parent else None, joined and joined.context]
    with _tracer(api).start_as_current_span(
        f"process {short(subscription)}",
        context=parent and api.set_span_in_context(api.NonRecordingSpan(parent)),
        kind=api.SpanKind.CONSUMER,
        links=[api.Link(each) for each in linked if each and each.is_valid],
        attributes={**SYSTEM, **PROCESS, **of_subscription(subscription), **attributes},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        delivery_span = DeliverySpan(span)
        try:
            yield delivery_span
        except BaseException as error:
            delivery_span.tell_interrupted(error)
            raise


def is_loaded() -> bool:
    """Whether somebody has loaded OpenTelemetry's API."""
    return "opentelemetry.trace" in sys.modules


def _api() -> Any:
    if not is_loaded():
        return None
    from opentelemetry import trace  # waits, should another thread be loading it

    return trace


@functools.cache
def _tracer(api: ModuleType) -> "Tracer":
    tracer: Tracer = api.get_tracer("asgi_tasks")
    return tracer


def _record(span: "Span", error: BaseException) -> None:
    try:
        span.record_exception(error, {"exception.type": type_of(error)})
    except Exception:  # an error may fail to show itself
        span.add_event("exception", {"exception.type": type_of(error)})


def _fail(span: "Span", error_type: str, description: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, description))


def _carrier() -> dict[str, str]:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    fields: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(fields)
    return {
        prefix + name: value
        for name, value in fields.items()
        for prefix in PREFIXES
        if len(value) <= LONGEST
    }


def _sender(carrier: Mapping[str, str]) -> "SpanContext | None":
    """The span of the enqueue, if the message's attributes tell of one."""
    from opentelemetry.context import Context
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    for prefix in PREFIXES:
        fields = {name: carrier[prefix + name] for name in FIELDS if prefix + name in carrier}
        found = TraceContextTextMapPropagator().extract(fields, Context())
        context = get_current_span(found).get_span_context()
        if context.is_valid:
            return context
    return None


NOT_TRACED: Final = DeliverySpan()
NO_SPAN: Final = nullcontext(NOT_TRACED)
NO_CARRIER: Final = nullcontext[dict[str, str]]({})
