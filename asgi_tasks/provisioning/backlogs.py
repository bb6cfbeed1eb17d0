"""How many messages wait in each subscription, and for how long the oldest has.

Pub/Sub's own API does not tell: Cloud Monitoring does, some minutes late, and so does the emulator.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, Protocol

from ..exceptions import ProvisioningError
from .calls import explained, limits
from .problems import CallFailed, Context
from .resources import short

METRICS: Final = "pubsub.googleapis.com/subscription/"
MESSAGES: Final = f"{METRICS}num_undelivered_messages"
OLDEST: Final = f"{METRICS}oldest_unacked_message_age"
# Sampled every minute and visible up to two later, by Google's list of metrics; people saw five.
LOOK_BACK: Final = timedelta(minutes=10)
PERMISSION: Final = "monitoring.timeSeries.list"
API: Final = "monitoring.googleapis.com"
MISSING: Final = (
    "Backlogs and dead letters are counted by Cloud Monitoring, and its client is not installed: "
    "pip install 'asgi-tasks[monitoring]'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The messages of one subscription that are not acknowledged, those under way too."""

    messages: int
    oldest: float  # its age in seconds; 0 without messages
    at: datetime  # when this was so, aware


type Backlogs = Mapping[str, Backlog]  # by the full name of the subscription


class Source(Protocol):
    """Who knows the backlogs."""

    name: str

    def backlogs(self, prefix: str) -> Backlogs:
        """Those of all subscriptions whose id starts like this. Raise ProvisioningError."""

    def why(self, task: str, subscription: str) -> str:
        """The command that shows why messages of this task and subscription wait."""


def find_source(project_id: str, *, timeout: float) -> Source:
    """The emulator, if PUBSUB_EMULATOR_HOST names one; else Cloud Monitoring."""
    if host := os.environ.get("PUBSUB_EMULATOR_HOST"):
        return Emulator(host, timeout=timeout)
    return CloudMonitoring(project_id, timeout=timeout)


class CloudMonitoring:
    """The metrics that Pub/Sub reports about itself.

    Needs google-cloud-monitoring and roles/monitoring.viewer. ``transport`` is what Google's client
    takes, for those who reach it by another way.
    """

    name = "Cloud Monitoring"

    def __init__(self, project_id: str, *, timeout: float, transport: Any = None) -> None:
        self._project_id = project_id
        self._timeout = timeout
        self._transport = transport
        self._context = Context(project_id=project_id, api=API)

    def backlogs(self, prefix: str) -> Backlogs:
        """See Source."""
        try:
            from google.cloud.monitoring_v3 import MetricServiceClient
        except ImportError as error:
            raise ProvisioningError(MISSING) from error
        with (
            explained("read the backlogs from Cloud Monitoring", [PERMISSION], self._context),
            MetricServiceClient(transport=self._transport) as client,
        ):
            messages = self._newest(client, MESSAGES, prefix)
            oldest = self._newest(client, OLDEST, prefix)
        return {
            f"projects/{self._project_id}/subscriptions/{name}": Backlog(
                messages=count, oldest=oldest.get(name, (0, at))[0], at=at
            )
            for name, (count, at) in messages.items()
        }

    def why(self, task: str, subscription: str) -> str:
        """See Source."""
        # The line of a push that was refused has no task, as nobody vouches for what it says.
        source = short(subscription)
        names = f'jsonPayload.task_name="{task}" OR jsonPayload.subscription:"{source}"'
        options = f"--project={self._project_id} --limit=5"
        return f"gcloud logging read '({names}) AND severity>=WARNING' {options}"

    def _newest(self, client: Any, metric: str, prefix: str) -> dict[str, tuple[int, datetime]]:
        """The newest point of each subscription; a request may name one metric only."""
        now = datetime.now(UTC)
        request = {
            "name": f"projects/{self._project_id}",
            "filter": f'metric.type = "{metric}" AND resource.type = "pubsub_subscription" '
            f'AND resource.labels.subscription_id = starts_with("{prefix}")',
            "interval": {"start_time": now - LOOK_BACK, "end_time": now},
        }
        pages = client.list_time_series(request=request, **limits(self._timeout)).pages
        found: dict[str, tuple[int, datetime]] = {}
        for series in (one for page in pages for one in type(page).pb(page).time_series):
            point = series.points[0]  # the newest comes first
            at = point.interval.end_time.ToDatetime(UTC)
            found.setdefault(
                series.resource.labels["subscription_id"], (point.value.int64_value, at)
            )
        return found


class Emulator:
    """The emulator of asgi_tasks, at the host of PUBSUB_EMULATOR_HOST."""

    name = "the emulator"

    def __init__(self, host: str, *, timeout: float) -> None:
        self._host = host
        self._timeout = timeout

    def backlogs(self, prefix: str) -> Backlogs:
        """See Source."""
        status = self._status()
        now = datetime.fromisoformat(status["now"])
        return dict(_emulated(status["subscriptions"], prefix, now))

    def why(self, task: str, subscription: str) -> str:
        """See Source."""
        query = f"subscription={subscription}&unsettled=true"
        return f"curl 'http://{self._host}/emulator/messages?{query}'"

    def _status(self) -> dict[str, Any]:
        connection = HTTPConnection(self._host, timeout=self._timeout)
        try:
            connection.request("GET", "/emulator/status")
            response = connection.getresponse()
            status, body = response.status, response.read()
            document = json.loads(body) if status == 200 else {}
        except (OSError, HTTPException, ValueError) as error:
            raise CallFailed(f"No answer from an emulator at {self._host}: {error}") from error
        finally:
            connection.close()
        if document.get("emulator") != "asgi_tasks":
            raise CallFailed(
                f"The emulator at {self._host} does not tell its backlogs: that of asgi_tasks does."
            )
        return dict(document)


def _emulated(
    found: Iterable[Mapping[str, Any]], prefix: str, now: datetime
) -> Iterable[tuple[str, Backlog]]:
    for one in found:
        if not short(one["name"]).startswith(prefix):
            continue
        since = one["oldest_published_at"]
        age = (now - datetime.fromisoformat(since)).total_seconds() if since else 0
        messages = one["waiting"] + one["outstanding"]
        yield one["name"], Backlog(messages=messages, oldest=max(age, 0), at=now)
