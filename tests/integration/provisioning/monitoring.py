"""Cloud Monitoring's MetricService on a port of its own, as far as Google describes ListTimeSeries.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/list
"""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import grpc
from google.cloud.monitoring_v3 import types
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

PREFIX = "pubsub.googleapis.com/subscription/"
MESSAGES, OLDEST = f"{PREFIX}num_undelivered_messages", f"{PREFIX}oldest_unacked_message_age"
FILTER = re.compile(
    r'metric\.type = "([^"]+)" AND resource\.type = "pubsub_subscription" '
    r'AND resource\.labels\.subscription_id = starts_with\("([^"]*)"\)'
)
PAGE = 2  # series


class MetricService:
    """What was reported, and the requests for it."""

    def __init__(self, project):
        self.project = project
        self.requests = []
        self._points = {}
        self._refusals = []

    def report(self, subscription, messages, oldest, *, minutes_ago=2):
        """The two metrics of a subscription, as Pub/Sub reports them each minute."""
        at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        for metric, value in ((MESSAGES, messages), (OLDEST, oldest)):
            self._points.setdefault((metric, subscription), []).append((at, value))

    def refuse(self, code, message="", count=None):
        """Answer the next requests with this error: so many, or all."""
        self._refusals = [(code, message)] * (count or 1000)

    def list_time_series(self, request, context):
        self.requests.append(request)
        if self._refusals:
            context.abort(*self._refusals.pop())
        wanted = FILTER.fullmatch(request.filter)
        if not wanted or request.name != f"projects/{self.project}":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"filter: {request.filter}")
        series = list(self._series(*wanted.groups(), request.interval))
        start = int(request.page_token or 0)
        more = str(start + PAGE) if start + PAGE < len(series) else ""
        return types.ListTimeSeriesResponse(
            time_series=series[start : start + PAGE], next_page_token=more
        )

    def _series(self, metric, prefix, interval):
        for (reported, subscription), points in self._points.items():
            seen = [p for p in points if interval.start_time < p[0] <= interval.end_time]
            if reported == metric and subscription.startswith(prefix) and seen:
                yield {
                    "metric": {"type": metric},
                    "resource": {
                        "type": "pubsub_subscription",
                        "labels": {"project_id": self.project, "subscription_id": subscription},
                    },
                    "points": [
                        {"interval": {"end_time": at}, "value": {"int64_value": value}}
                        for at, value in sorted(seen, reverse=True)
                    ],
                }


@contextmanager
def running_metrics(project="tests"):
    """A MetricService, and the function that makes a transport to it."""
    service = MetricService(project)
    handler = grpc.unary_unary_rpc_method_handler(
        service.list_time_series,
        request_deserializer=types.ListTimeSeriesRequest.deserialize,
        response_serializer=types.ListTimeSeriesResponse.serialize,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    name = "google.monitoring.v3.MetricService"
    methods = {"ListTimeSeries": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def transport():
        return MetricServiceGrpcTransport(channel=grpc.insecure_channel(f"127.0.0.1:{port}"))

    try:
        yield service, transport
    finally:
        server.stop(None).wait()
