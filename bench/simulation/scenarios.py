"""What is simulated: a task, the settings of a service, and how fast tasks come."""

from dataclasses import dataclass, replace

from asgi_tasks.capacity import Limit, Service, find_limits

from .facts import (
    LINEAR_GROWTH,
    PUSH_CPU_SECONDS,
    PUSH_QUOTAS,
    REQUESTS_AN_INSTANCE,
    START_SECONDS,
    STARTS_A_SECOND,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A coroutine task that computes, asks the database and waits. Seconds, and bytes."""

    cpu_seconds: float = 0.005
    database_seconds: float = 0.003
    wait_seconds: float = 0.2
    message_bytes: int = 1_000
    push_cpu_seconds: float = PUSH_CPU_SECONDS

    @property
    def run_seconds(self):
        return self.cpu_seconds + self.database_seconds + self.wait_seconds

    @property
    def instance_seconds(self):
        """What one push takes of a processor: one process is one processor's."""
        return self.push_cpu_seconds + self.cpu_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator chooses. An instance has one vCPU and 1 GiB."""

    concurrency: int = 80
    max_instances: int = 5
    lanes: int = 8
    pool_size: int = 16
    database_connections: int = 200
    subscriptions: int = 1
    region: str = "small"

    @property
    def push_quota(self):
        return PUSH_QUOTAS[self.region]

    @property
    def connections(self):
        return self.max_instances * self.pool_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """What Google does not publish."""

    linear_growth: float = LINEAR_GROWTH
    start_seconds: float = START_SECONDS
    starts_a_second: float = STARTS_A_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Tasks come at `rate` a second, and `burst` at once after a minute."""

    name: str
    title: str
    rate: float
    settings: Settings
    burst: int = 0
    task: Task = Task()
    guesses: Guesses = Guesses()
    seconds: int = 600


BURST_AT = 60  # seconds

# As cloudbuild.yaml deploys it.
DEPLOYED = Settings(concurrency=200)

SCENARIOS = (
    Scenario(name="10", title="10", rate=10, settings=Settings()),
    Scenario(
        name="1000",
        title="1,000",
        rate=1_000,
        settings=Settings(max_instances=20, pool_size=8, database_connections=400),
    ),
    Scenario(
        name="100000",
        title="100,000",
        rate=100_000,
        settings=Settings(
            max_instances=1_000,
            lanes=2,
            pool_size=2,
            database_connections=5_000,
            subscriptions=10,
            region="large",
        ),
    ),
    Scenario(
        name="100000-one-subscription",
        title="100,000, one subscription",
        rate=100_000,
        settings=Settings(
            max_instances=1_000, lanes=2, pool_size=2, database_connections=5_000, region="large"
        ),
    ),
    Scenario(
        name="burst", title="10, and 100,000 at once", rate=10, burst=100_000, settings=DEPLOYED
    ),
)


def variations(scenarios):
    """The same scenarios with something else each time: what, and all of them."""
    changes = {
        "as above": {},
        "`--concurrency=200`": {"concurrency": 200},
        "2 instances start a second": {"starts_a_second": 2},
        "50 instances start a second": {"starts_a_second": 50},
        "the window grows by 10 a second": {"linear_growth": 10},
        "the window grows by 1,000 a second": {"linear_growth": 1_000},
    }
    for what, values in changes.items():
        yield what, [_change(scenario, **values) for scenario in scenarios]


def _change(scenario, **values):
    part = "settings" if "concurrency" in values else "guesses"
    return replace(scenario, **{part: replace(getattr(scenario, part), **values)})


def service(scenario):
    """The same as `manage.py task_capacity` has it."""
    settings, task = scenario.settings, scenario.task
    return Service(
        kind="coroutine",
        task_seconds=task.run_seconds,
        concurrency=settings.concurrency,
        max_instances=settings.max_instances,
        lanes=settings.lanes,
        pool_size=settings.pool_size,
        database_seconds=task.database_seconds,
        database_connections=settings.database_connections,
        message_bytes=task.message_bytes,
        push_quota=settings.push_quota,
    )


def limits(scenario):
    """Those of `task_capacity`, and what it does not ask about; the tightest first."""
    settings, task = scenario.settings, scenario.task
    found = {limit.name: limit for limit in find_limits(service(scenario))}
    if window := found.get("push window"):
        found["push window"] = window._replace(rate=window.rate * settings.subscriptions)
    found["event loop"] = Limit(
        "event loop", settings.max_instances / task.instance_seconds, "raise --max-instances"
    )
    found["HTTP/1"] = Limit(
        "HTTP/1", settings.max_instances * REQUESTS_AN_INSTANCE, "raise --max-instances"
    )
    return sorted(found.values(), key=lambda limit: limit.rate)
