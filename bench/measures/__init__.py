"""The measures of docs/benchmarks.md, by number, in their order there."""

from bench.measures import (
    enduring,
    growth,
    latency,
    orm,
    publishing,
    pushes,
    servers,
    starting,
    waiting,
)

MEASURES = {
    "1": pushes.beside_plain_asgi,
    "2": pushes.beside_django_view,
    "3": pushes.beside_a_peer,
    "4": waiting.beside_a_peer,
    "5": publishing.callers_at_once,
    "6": publishing.lone_call,
    "7": publishing.sync_calls,
    "8": orm.query_and_wait,
    "8b": orm.query_three,
    "9": starting.beside_daphne,
    "10": enduring.pushes_leave_nothing,
    "11": latency.enqueue_to_start,
    "12": growth.of_work,
    "servers": servers.side_by_side,
}
