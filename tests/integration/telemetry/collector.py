"""A collector of OpenTelemetry's, rotel, and where it sends what it has taken."""

import contextlib
import gzip
import importlib.util
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.processes import free_port, running, wait_until_listening

LONG = 60  # seconds until a test gives up


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span as it came by OTLP."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    status: str
    start: int
    attributes: dict
    resource: dict


class Receiver:
    """Takes OTLP over HTTP, and keeps what comes."""

    def __init__(self):
        self.spans = []
        self.metrics = []  # (resource, metric)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                owner.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path, body):
        if path == "/v1/traces":
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = plain(of_resource.resource.attributes)
                for scope in of_resource.scope_spans:
                    self.spans += [_span(span, resource) for span in scope.spans]
        elif path == "/v1/metrics":
            for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                resource = plain(of_resource.resource.attributes)
                for scope in of_resource.scope_metrics:
                    self.metrics += [(resource, metric) for metric in scope.metrics]

    def named(self, name):
        return [span for span in list(self.spans) if span.name == name]

    def wait_for(self, condition):
        """What the condition returns, once it is true."""
        deadline = time.monotonic() + LONG
        while not (found := condition()):
            names = [span.name for span in self.spans]
            assert time.monotonic() < deadline, f"spans: {names}"
            time.sleep(0.05)
        return found


class Collector(Receiver):
    """The two of them; `url` is the collector's."""

    def __init__(self, url):
        super().__init__()
        self.receiver_url, self.url = self.url, url


@contextlib.contextmanager
def collector(folder):
    """A collector on loopback. What it takes is in `spans` and `metrics`."""
    port = free_port()
    collected = Collector(f"http://127.0.0.1:{port}")
    with contextlib.closing(collected), running(*_command(port, collected, folder)) as process:
        wait_until_listening(process, collected.url)
        yield collected


def environment(collected):
    """Of a process that sends there, without waiting for long."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collected.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }


def plain(attributes):
    """OTLP's attributes as a dict."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def _command(port, collected, folder):
    program = Path(importlib.util.find_spec("rotel").origin).parent / "rotel-agent"
    return (
        program,
        "start",
        f"--otlp-http-endpoint=127.0.0.1:{port}",
        f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
        f"--otlp-exporter-endpoint={collected.receiver_url}",
        "--otlp-exporter-protocol=http",
        "--otlp-exporter-batch-timeout=100ms",
        f"--pid-file={folder / 'rotel.pid'}",
        f"--log-file={folder / 'rotel.log'}",
    )


def _span(span, resource):
    return CollectedSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
        status=span.status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        start=span.start_time_unix_nano,
        attributes=plain(span.attributes),
        resource=resource,
    )
