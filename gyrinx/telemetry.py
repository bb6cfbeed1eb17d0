"""Traces and metrics, where there is a collector to take them: docs/how-to/trace.md."""

import atexit
import os
import threading
import uuid

FLUSH = 2  # seconds for the last of both, when the server ends
LONGEST = 16_000  # characters of an attribute, such as a traceback


def start():
    """Send both by OTLP to OTEL_EXPORTER_OTLP_ENDPOINT, if that is set; nothing is loaded if not.

    All else is in OpenTelemetry's own variables: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, ...
    """
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry import metrics, trace
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create(identity())
    spans, figures = trace_provider(resource), meter_provider(resource)
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(figures)
    DjangoInstrumentor().instrument(excluded_urls="/health/")
    PsycopgInstrumentor().instrument()
    flush_at_exit(spans, figures)


def identity():
    """Who sends: each process is one, or their figures would be taken for one another's."""
    of_cloud_run = {
        "service.name": os.environ.get("K_SERVICE", "gyrinx"),
        "service.version": os.environ.get("K_REVISION", "local"),
    }
    if name := os.environ.get("OTEL_SERVICE_NAME"):
        of_cloud_run["service.name"] = name
    return {**of_cloud_run, "service.instance.id": str(uuid.uuid4())}


def trace_provider(resource):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    limits = SpanLimits(max_attribute_length=LONGEST)
    provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def meter_provider(resource):
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False)


def flush_at_exit(*providers):
    """Send what is left, but do not wait for a collector that does not answer."""
    is_over = threading.Event()

    def close():
        is_over.wait()
        for provider in providers:
            provider.shutdown()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()  # now: at exit Python starts none

    def flush():
        is_over.set()
        closing.join(FLUSH)

    atexit.register(flush)
