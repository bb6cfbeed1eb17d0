import json
import math
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import connections

from asgi_tasks.backends import get_backend
from asgi_tasks.capacity import Estimate, Service, estimate
from asgi_tasks.exceptions import TaskNotFound
from asgi_tasks.management.arguments import number_from
from asgi_tasks.management.output import PrintingCommand
from asgi_tasks.management.routes import kind_of
from asgi_tasks.management.tables import duration, number, table
from asgi_tasks.routes import RouteTable


class Command(PrintingCommand):
    """Work out what a service can take: tasks a second, connections, and what limits them."""

    help = (
        "Work out what a service of this size can take: tasks a second, database connections, "
        "how long a backlog lasts, and which limit comes first. Contacts nobody."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        seconds, count, count_from_1 = (
            number_from(float, 0),
            number_from(int, 0),
            number_from(int, 1),
        )
        add(
            "--task-seconds",
            type=number_from(float, 0.001),
            required=True,
            help="how long a run is",
        )
        add("--concurrency", type=count_from_1, default=80, help="Cloud Run's (default: 80)")
        add("--max-instances", type=count_from_1, default=5, help="Cloud Run's (default: 5)")
        add("--route", help="the task's name: gives its kind and its deadlines")
        add("--kind", choices=("coroutine", "sync"), help="of the task, unless --route says")
        add("--threads", type=count_from_1, help="lanes (default: the option 'threads')")
        add(
            "--pool-size",
            type=count,
            help="database connections an instance, 0 without a pool (default: from DATABASES)",
        )
        add(
            "--database-seconds",
            type=seconds,
            help="how long of a run the database is used (default: sync all of it, coroutine 0)",
        )
        add(
            "--database-connections",
            type=count_from_1,
            default=100,
            help="PostgreSQL's max_connections (default: 100)",
        )
        add("--message-bytes", type=count_from_1, default=1000, help="(default: 1000)")
        add(
            "--push-quota",
            type=number_from(float, 1),
            default=30,
            help="MB a second that Pub/Sub pushes for the project (default: 30)",
        )
        add("--backlog", type=count, default=0, help="messages that wait (default: 0)")
        add("--arrivals", type=seconds, default=0, help="tasks a second that come (default: 0)")
        add("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            service = _service(options)
        except (ImproperlyConfigured, TaskNotFound) as error:
            raise CommandError(error) from error
        result = estimate(service, backlog=options["backlog"], arrivals=options["arrivals"])
        lines = [_as_json(service, result)] if options["json"] else _lines(service, result, options)
        self.stdout.write("\n".join(lines))
        if not options["json"]:
            for warning in result.warnings:
                self.stdout.write(self.style.WARNING(f"! {warning}"))


def _service(options: Mapping[str, Any]) -> Service:
    backend = get_backend()
    given = {
        name: options[name]
        for name in ("task_seconds", "concurrency", "max_instances", "message_bytes")
    }
    configured: dict[str, Any] = {"kind": options["kind"] or "coroutine"}
    if backend:
        config = backend.config
        configured |= {"lanes": config.threads, "service_timeout": config.service_timeout}
    if options["route"]:
        if backend is None:
            raise CommandError("--route needs settings with PubSubBackend: use --settings.")
        configured |= _route(backend.routes, options["route"])
    if options["threads"]:
        configured["lanes"] = options["threads"]
    return Service(
        **given,
        **configured,
        pool_size=_pool_size(options["pool_size"]),
        database_seconds=options["database_seconds"],
        database_connections=options["database_connections"],
        push_quota=options["push_quota"] * 1e6,
    )


def _route(routes: RouteTable, name: str) -> dict[str, Any]:
    route = routes.resolve(name)
    return {
        "kind": kind_of(route),
        "deadline": route.deadline,
        "ack_deadline": route.ack_deadline,
    }


def _pool_size(given: int | None) -> int | None:
    if given is not None:
        return given or None
    pool = connections.settings["default"].get("OPTIONS", {}).get("pool")
    if not pool:
        return None
    sizes = pool if isinstance(pool, Mapping) else {}
    return int(sizes.get("max_size") or sizes.get("min_size", 4))  # 4: psycopg_pool's default


def _lines(service: Service, result: Estimate, options: Mapping[str, Any]) -> Iterator[str]:
    name = options["route"] or "A task"
    yield (
        f"{name}: {service.kind}, {service.task_seconds:g} s a run, deadline "
        f"{service.deadline:g} s; {service.max_instances} instances of {service.concurrency}"
    )
    facts = {
        "tasks a second": number(result.throughput),
        "running at once": number(result.running),
        "database connections": f"{result.connections}, while deploying up to "
        f"{result.connections_while_deploying}",
    }
    if options["backlog"]:
        facts[f"backlog of {options['backlog']:,}"] = duration(result.drain_seconds)
    yield from table(("", ""), list(facts.items()))
    yield ""
    rows = [(limit.name, number(limit.rate), limit.remedy) for limit in result.limits]
    yield from table(("limit", "tasks a second", "to raise it"), rows)


def _as_json(service: Service, result: Estimate) -> str:
    drain = result.drain_seconds
    data = {
        "service": asdict(service),
        "throughput": result.throughput,
        **asdict(result),
        "limits": [limit._asdict() for limit in result.limits],
        "drain_seconds": None if math.isinf(drain) else drain,
    }
    return json.dumps(data, indent=2)
