"""Spans of enqueues and runs, by OpenTelemetry's API; none where nobody loaded that.

Who wants traces sets up a TracerProvider, and so has loaded the API.
https://opentelemetry.io/docs/specs/semconv/messaging/gcp-pubsub/
"""

import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .metrics import PROCESS, SEND, SYSTEM, short, type_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

type Attributes = Mapping[str, str | int]

# Google's clients look for theirs in a message's attributes; everybody else for W3C's.
PREFIXES: Final = ("googclient_", "")
FIELDS: Final = ("traceparent", "tracestate")
LONGEST: Final = 1024  # bytes of an attribute that Pub/Sub takes


@contextmanager
def sending(topic: str, attributes: Attributes) -> Iterator[dict[str, str]]:
    """A PRODUCER span. Yield what the message has to carry for the run to follow it."""
    api = _api()
    if api is None:
        yield {}
        return
    with _tracer(api).start_as_current_span(
        f"send {short(topic)}",
        kind=api.SpanKind.PRODUCER,
        attributes={**SYSTEM, **SEND, "messaging.destination.name": short(topic), **attributes},
    ) as span:
        try:
            yield _carrier()
        except BaseException as error:
            span.set_attribute("error.type", type_of(error))
            raise


@contextmanager
def processing(
    subscription: str, carrier: Mapping[str, str], attributes: Attributes
) -> Iterator[None]:
    """A CONSUMER span: the child of the enqueue's, linked to the request that brings the push."""
    api = _api()
    if api is None:
        yield
        return
    name, parent = short(subscription), _parent(carrier)
    request = api.get_current_span().get_span_context()
    with _tracer(api).start_as_current_span(
        f"process {name}",
        context=parent,
        kind=api.SpanKind.CONSUMER,
        links=[api.Link(request)] if parent and request.is_valid else [],
        attributes={
            **SYSTEM,
            **PROCESS,
            "messaging.destination.subscription.name": name,
            **attributes,
        },
    ):
        try:
            yield
        except BaseException:
            fail("was interrupted")
            raise


def note(attributes: Attributes) -> None:
    """Say more of the span under way."""
    if api := _api():
        api.get_current_span().set_attributes(attributes)


def fail(word: str, error: BaseException | None = None) -> None:
    """Say of the span under way that it failed, and why."""
    if api := _api():
        span: Span = api.get_current_span()
        if error:
            span.set_attribute("error.type", type_of(error))
            span.record_exception(error)
        span.set_status(api.Status(api.StatusCode.ERROR, word))


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


def _api() -> Any:
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace  # waits, should another thread be loading it

    return trace


@functools.cache
def _tracer(api: ModuleType) -> "Tracer":
    tracer: Tracer = api.get_tracer("asgi_tasks")
    return tracer


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


def _parent(carrier: Mapping[str, str]) -> "Context | None":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    for prefix in PREFIXES:
        if prefix + FIELDS[0] in carrier:
            fields = {name: carrier.get(prefix + name, "") for name in FIELDS}
            return TraceContextTextMapPropagator().extract(fields, Context())
    return None
