"""What a service can take, worked out: pure arithmetic, explained in docs/how-to/deploy.md."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

# Pub/Sub's: pushes of one subscription under way when they take more than a second on average.
PUSH_WINDOW = 3_000
SMALLEST_MESSAGE = 1_000  # bytes; a smaller one counts as this
RETENTION = 7 * 86_400  # seconds a message waits at the most, unless the subscription says more
# Cloud Run's: connections of one instance to a Cloud SQL instance.
SOCKET_CONNECTIONS = 100
RESERVED_CONNECTIONS = 6  # PostgreSQL's and Cloud SQL's own share of max_connections
# Pushes of a task that does nothing, which one process on two cores answers in a second.
PUSHES_A_SECOND = 3_400

type Kind = Literal["coroutine", "sync"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service on Cloud Run and one of its tasks. Times are in seconds, sizes in bytes."""

    kind: Kind
    task_seconds: float  # one run, from its start to its end
    concurrency: int  # requests an instance takes at once
    max_instances: int
    lanes: int = 8  # the option `threads`
    pool_size: int | None = 16  # connections an instance; None: no pool
    database_seconds: float | None = None  # of a run; a sync task's: all of it unless given
    database_connections: int = 100  # PostgreSQL's max_connections
    message_bytes: int = SMALLEST_MESSAGE
    push_quota: float = 30_000_000  # bytes a second that Pub/Sub pushes for the project
    deadline: float = 295  # of a run, the wait for a lane included
    ack_deadline: float = 300
    service_timeout: float = 300

    @property
    def busy_seconds(self) -> float:
        """How long a run holds a lane, and what it has of the database."""
        if self.database_seconds is not None:
            return min(self.database_seconds, self.task_seconds)
        return self.task_seconds if self.kind == "sync" else 0

    @property
    def lane_seconds(self) -> float:
        """How long a run holds a lane."""
        return self.task_seconds if self.kind == "sync" else self.busy_seconds

    @property
    def connections_an_instance(self) -> int:
        """The most connections an instance opens: without a pool, every page's thread has one."""
        return self.lanes + self.concurrency if self.pool_size is None else self.pool_size

    @property
    def connections(self) -> int:
        """The most connections all instances open."""
        return self.max_instances * self.connections_an_instance


class Limit(NamedTuple):
    """Something that lets no more tasks through, and how many it lets through in a second."""

    name: str
    rate: float
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the service can take: its limits, the tightest first."""

    limits: tuple[Limit, ...]
    running: float  # tasks under way when there is always another one
    connections: int
    connections_while_deploying: int  # the old revision's and the new one's
    drain_seconds: float  # inf: more arrive than are done
    warnings: tuple[str, ...]

    @property
    def throughput(self) -> float:
        """Tasks a second."""
        return self.limits[0].rate


def estimate(service: Service, *, backlog: int = 0, arrivals: float = 0) -> Estimate:
    """What this service can take, and how long it needs for a backlog while others arrive."""
    limits = tuple(sorted(find_limits(service), key=lambda limit: limit.rate))
    throughput = limits[0].rate
    drain = drain_seconds(service, throughput, backlog=backlog, arrivals=arrivals)
    return Estimate(
        limits=limits,
        running=throughput * service.task_seconds,
        connections=service.connections,
        connections_while_deploying=2 * service.connections,
        drain_seconds=drain,
        warnings=tuple(find_warnings(service, drain)),
    )


def find_limits(service: Service) -> Iterator[Limit]:
    """Each limit there is, with its rate."""
    instances, seconds = service.max_instances, service.task_seconds
    slots = instances * service.concurrency
    yield Limit("concurrency", slots / seconds, "raise --concurrency or --max-instances")
    yield Limit("event loop", instances * PUSHES_A_SECOND, "raise --max-instances")
    if service.lane_seconds:
        lanes = instances * service.lanes
        remedy = "raise the option 'threads' or --max-instances"
        yield Limit("lanes", lanes / service.lane_seconds, remedy)
    yield from _find_database_limits(service)
    if seconds > 1:
        yield Limit("push window", PUSH_WINDOW / seconds, "make the task shorter, or split it")
    size = max(service.message_bytes, SMALLEST_MESSAGE)
    remedy = (
        "pass ids instead of data, or ask for more pubsub.googleapis.com/regionalpushsubscriber"
    )
    yield Limit("push quota", service.push_quota / size, remedy)


def _find_database_limits(service: Service) -> Iterator[Limit]:
    if not service.busy_seconds:
        return
    if service.pool_size is not None:
        rate = service.connections / service.busy_seconds
        yield Limit("pool", rate, "raise the pool's max_size or --max-instances")
    allowed = max(service.database_connections - RESERVED_CONNECTIONS, 1)
    remedy = "raise PostgreSQL's max_connections"
    yield Limit("database connections", allowed / service.busy_seconds, remedy)


def drain_seconds(service: Service, throughput: float, *, backlog: int, arrivals: float) -> float:
    """How long a backlog takes, the last task's run included."""
    if not backlog:
        return 0
    if throughput <= arrivals:
        return math.inf
    return backlog / (throughput - arrivals) + service.task_seconds


def find_warnings(service: Service, drain: float) -> Iterator[str]:
    """What goes wrong at this size, each with what to do."""
    yield from _find_late_tasks(service)
    yield from _find_missing_connections(service)
    if drain > RETENTION:
        yield (
            f"The backlog takes longer than the {RETENTION // 86_400} days that Pub/Sub keeps a "
            "message: the rest is deleted."
        )


def _find_late_tasks(service: Service) -> Iterator[str]:
    if service.task_seconds > service.deadline:
        yield (
            f"A run takes longer than its deadline ({service.deadline:g} s), so none succeeds: "
            "raise the route's ack_deadline or split the task."
        )
    elif service.kind == "sync":
        yield from _find_late_lanes(service)
    if service.ack_deadline > service.service_timeout:
        yield (
            f"The service's timeout ({service.service_timeout:g} s) ends a push before the ack "
            f"deadline ({service.ack_deadline:g} s): raise --timeout and 'service_timeout'."
        )


def _find_late_lanes(service: Service) -> Iterator[str]:
    # Whoever comes last when an instance is full waits until all lanes before him are done.
    fitting = service.lanes * math.floor(service.deadline / service.task_seconds)
    if service.concurrency > fitting:
        yield (
            f"With {service.concurrency} pushes at once in {service.lanes} lanes the last wait "
            f"past their deadline ({service.deadline:g} s): set --concurrency to {fitting} or less."
        )


def _find_missing_connections(service: Service) -> Iterator[str]:
    allowed = service.database_connections - RESERVED_CONNECTIONS
    if service.connections > allowed:
        yield (
            f"{service.connections} connections are more than the {allowed} that PostgreSQL has: "
            "lower the pool's max_size or --max-instances, or raise max_connections."
        )
    elif 2 * service.connections > allowed:
        yield (
            f"While a deploy replaces the revision there may be {2 * service.connections} "
            f"connections, more than the {allowed} that PostgreSQL has."
        )
    if service.connections_an_instance > SOCKET_CONNECTIONS:
        yield (
            f"An instance may open {service.connections_an_instance} connections, more than the "
            f"{SOCKET_CONNECTIONS} that Cloud Run lets it have to Cloud SQL: use a pool of fewer."
        )
    if service.pool_size is not None and service.pool_size < service.lanes:
        yield (
            f"The pool has fewer connections ({service.pool_size}) than there are lanes "
            f"({service.lanes}): the others wait for one, and then fail."
        )


def retry_delays(
    min_retry_delay: float, max_retry_delay: float, max_delivery_attempts: int
) -> Iterator[float]:
    """The delays between the attempts of a task that always fails: one fewer than attempts."""
    delay = min_retry_delay
    for _ in itertools.repeat(None, max_delivery_attempts - 1):
        yield delay
        delay = min(2 * delay, max_retry_delay)


def retry_horizon(
    min_retry_delay: float, max_retry_delay: float, max_delivery_attempts: int
) -> float:
    """How long a task that always fails at once is tried, in seconds.

    At least: the runs themselves and Pub/Sub's push backoff come on top.
    """
    return sum(retry_delays(min_retry_delay, max_retry_delay, max_delivery_attempts))
