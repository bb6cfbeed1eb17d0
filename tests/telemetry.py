"""What this process tells OpenTelemetry, for the tests that look at it.

Providers are set once a process, by the first such test.
"""

import functools

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider


class Spans(SpanProcessor):
    """The spans that have ended since the test began."""

    def __init__(self):
        self.ended = None

    def on_end(self, span):
        if self.ended is not None:
            self.ended.append(span)

    def named(self, name):
        return [span for span in self.ended if span.name == name]

    def one(self, name):
        (span,) = self.named(name)
        return span


class Figures:
    """The sums and histograms of the time since the test began, the levels as they are."""

    def __init__(self, reader):
        self._reader = reader
        self._points = []

    def clear(self):
        self._reader.get_metrics_data()
        self._points.clear()

    def points(self, name, **attributes):
        """The data points of a metric with these attributes; their dots are underscores here."""
        self._collect()
        return [
            point
            for metric, point in self._points
            if metric.name == name and attributes.items() <= _underscored(point.attributes)
        ]

    def value(self, name, **attributes):
        """The sum of the values; of a histogram, how many there were."""
        points = self.points(name, **attributes)
        return sum(p.value if hasattr(p, "value") else p.count for p in points)

    def metrics(self):
        """Those that have data, by name."""
        self._collect()
        return {metric.name: metric for metric, _ in self._points}

    def _collect(self):
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        levels = {m.name for m in found if not getattr(m.data, "is_monotonic", True)}
        self._points = [(m, point) for m, point in self._points if m.name not in levels]
        self._points += [(metric, point) for metric in found for point in metric.data.data_points]


def _underscored(attributes):
    return {name.replace(".", "_"): value for name, value in attributes.items()}.items()


@functools.cache
def _spans():
    spans, provider = Spans(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(spans)
    trace.set_tracer_provider(provider)
    return spans


@functools.cache
def _figures():
    delta = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
    reader = InMemoryMetricReader(preferred_temporality=delta)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return Figures(reader)


@pytest.fixture
def spans():
    """What ends from here on: `spans.one(name)`."""
    spans = _spans()
    spans.ended = []
    yield spans
    spans.ended = None


@pytest.fixture
def figures():
    """What is measured from here on: `figures.value(name, **attributes)`."""
    figures = _figures()
    figures.clear()
    return figures
