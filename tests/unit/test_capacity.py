"""task_capacity: the formulas, with numbers worked out by hand, and the command."""

import json
import math
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from asgi_tasks.capacity import (
    RETENTION,
    Service,
    estimate,
    find_limits,
    retry_delays,
    retry_horizon,
)
from asgi_tasks.management.tables import duration, number, table


def service(**values):
    defaults = {"kind": "coroutine", "task_seconds": 2, "concurrency": 100, "max_instances": 4}
    return Service(**defaults | values)


def rates(**values):
    return {limit.name: limit.rate for limit in find_limits(service(**values))}


def test_coroutines_are_bound_by_the_requests_an_instance_takes():
    result = estimate(service())
    assert (result.limits[0].name, result.throughput, result.running) == ("concurrency", 200, 400)


def test_sync_tasks_are_bound_by_the_lanes():
    result = estimate(service(kind="sync", lanes=8))
    assert (result.limits[0].name, result.throughput, result.running) == ("lanes", 16, 32)


def test_coroutine_without_database_has_no_limit_of_lanes_or_connections():
    assert rates().keys() == {"concurrency", "event loop", "push window", "push quota"}


def test_coroutine_holds_lane_and_connection_while_it_uses_the_database():
    found = rates(database_seconds=0.05, lanes=8, pool_size=16, database_connections=100)
    assert found["lanes"] == 4 * 8 / 0.05
    assert found["pool"] == 4 * 16 / 0.05
    assert found["database connections"] == 94 / 0.05


def test_sync_task_holds_its_lane_for_longer_than_its_connection():
    found = rates(kind="sync", database_seconds=0.5, lanes=8, pool_size=16)
    assert (found["lanes"], found["pool"]) == (16, 128)


def test_database_of_few_connections_comes_first():
    result = estimate(service(kind="sync", lanes=64, pool_size=64, database_connections=26))
    assert (result.limits[0].name, result.throughput) == ("database connections", 10)


def test_database_seconds_are_no_more_than_the_run():
    assert rates(kind="sync", database_seconds=60)["pool"] == rates(kind="sync")["pool"]


@pytest.mark.parametrize(("seconds", "rate"), [(1, None), (2, 1500), (30, 100)])
def test_push_window_binds_tasks_of_more_than_a_second(seconds, rate):
    assert rates(task_seconds=seconds).get("push window") == rate


@pytest.mark.parametrize(("size", "rate"), [(1, 30_000), (1_000, 30_000), (300_000, 100)])
def test_push_quota_counts_bytes_and_a_small_message_as_a_thousand(size, rate):
    assert rates(message_bytes=size, push_quota=30e6)["push quota"] == rate


def test_very_short_tasks_are_bound_by_the_event_loop():
    result = estimate(service(task_seconds=0.001, max_instances=1))
    assert (result.limits[0].name, result.throughput) == ("event loop", 3_400)


def test_limits_come_tightest_first():
    found = [limit.rate for limit in estimate(service(database_seconds=0.1)).limits]
    assert found == sorted(found)


@pytest.mark.parametrize(("pool", "instance", "all_of_them"), [(16, 16, 64), (None, 108, 432)])
def test_connections_are_the_pools_or_a_threads_each(pool, instance, all_of_them):
    result = estimate(service(pool_size=pool, lanes=8))
    assert service(pool_size=pool, lanes=8).connections_an_instance == instance
    assert result.connections == all_of_them
    assert result.connections_while_deploying == 2 * all_of_them


def test_backlog_drains_at_what_arrivals_leave():
    assert estimate(service(), backlog=10_000).drain_seconds == 52
    assert estimate(service(), backlog=10_000, arrivals=100).drain_seconds == 102


def test_no_backlog_needs_no_time():
    assert estimate(service(), arrivals=1_000).drain_seconds == 0


def test_backlog_never_drains_while_as_many_arrive():
    result = estimate(service(), backlog=1, arrivals=200)
    assert math.isinf(result.drain_seconds)
    assert any("7 days" in warning for warning in result.warnings)


FITTING = {"kind": "sync", "task_seconds": 10, "lanes": 8, "concurrency": 80, "max_instances": 1}


def warnings(backlog=0, **values):
    return estimate(service(**FITTING | values), backlog=backlog).warnings


def test_service_that_fits_has_no_warning():
    assert warnings() == ()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"task_seconds": 296}, "longer than its deadline (295 s)"),
        ({"concurrency": 233}, "set --concurrency to 232 or less"),
        ({"ack_deadline": 600, "service_timeout": 300}, "timeout (300 s) ends a push"),
        ({"max_instances": 6}, "96 connections are more than the 94"),
        ({"max_instances": 3}, "there may be 96 connections"),
        ({"pool_size": None, "concurrency": 93, "database_connections": 500}, "use a pool"),
        ({"pool_size": 101, "database_connections": 500}, "more than the 100"),
        ({"pool_size": 7}, "fewer connections (7) than there are lanes (8)"),
        ({"backlog": RETENTION}, "7 days"),
    ],
)
def test_what_does_not_fit_is_a_warning(values, text):
    [warning] = warnings(**values)
    assert text in warning


def test_concurrency_of_the_warning_is_itself_accepted():
    assert warnings(concurrency=232, task_seconds=10, pool_size=8) == ()


def test_coroutines_wait_for_no_lane():
    assert warnings(kind="coroutine", concurrency=1_000) == ()


def test_delays_double_up_to_the_longest():
    assert list(retry_delays(10, 60, 6)) == [10, 20, 40, 60, 60]


def test_delay_of_nothing_stays_nothing():
    assert list(retry_delays(0, 600, 4)) == [0, 0, 0]


def test_default_route_is_tried_for_more_than_three_hours():
    assert retry_horizon(10, 600, 25) == 630 + 18 * 600


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_605, "1 h"),
        (11_430, "3 h 10 min"),
        (90_000, "1 d 1 h"),
        (math.inf, "never"),
    ],
)
def test_duration_has_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456, "0.123"), (4.7, "4.7"), (200, "200"), (12_500.4, "12,500")]
)
def test_number_is_whole_where_it_is_large(value, text):
    assert number(value) == text


def test_table_is_as_wide_as_its_cells():
    assert list(table(("a", "b"), [("long", "x")])) == ["a     b", "long  x"]


def run(*arguments):
    output = StringIO()
    call_command("task_capacity", *arguments, stdout=output)
    return output.getvalue()


def read(*arguments):
    return json.loads(run(*arguments, "--json"))


def test_command_shows_the_tightest_limit_first():
    lines = run("--task-seconds=2", "--kind=sync", "--pool-size=16").splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("limit"))
    assert lines[head + 1].split()[:2] == ["lanes", "20"]


def test_command_shows_warnings():
    assert "! A run takes longer than its deadline" in run("--task-seconds=1000")


def test_command_takes_kind_and_deadlines_from_the_route():
    found = read("--task-seconds=1", "--route=wait_sync")["service"]
    assert (found["kind"], found["deadline"], found["ack_deadline"]) == ("sync", 1, 300)


def test_command_finds_a_route_by_its_alias():
    assert read("--task-seconds=1", "--route=old_add")["service"]["kind"] == "sync"


def test_command_takes_lanes_from_the_settings_unless_told(settings):
    options = settings.TASKS["default"]
    settings.TASKS = {"default": {**options, "OPTIONS": {**options["OPTIONS"], "threads": 3}}}
    assert read("--task-seconds=1")["service"]["lanes"] == 3
    assert read("--task-seconds=1", "--threads=5")["service"]["lanes"] == 5


@pytest.mark.parametrize(
    ("pool", "size"),
    [(None, None), (False, None), (True, 4), ({"min_size": 2}, 2), ({"max_size": 16}, 16)],
)
def test_command_takes_the_pool_from_the_settings(monkeypatch, pool, size):
    monkeypatch.setitem(connections.settings["default"], "OPTIONS", {"pool": pool})
    assert read("--task-seconds=1")["service"]["pool_size"] == size


@pytest.mark.parametrize(("given", "size"), [("0", None), ("7", 7)])
def test_command_takes_the_pool_it_is_told(given, size):
    assert read("--task-seconds=1", f"--pool-size={given}")["service"]["pool_size"] == size


def test_command_writes_a_backlog_that_never_drains_as_null():
    assert read("--task-seconds=1", "--backlog=5", "--arrivals=1e6")["drain_seconds"] is None
    assert "never" in run("--task-seconds=1", "--backlog=5", "--arrivals=1e6")


def test_command_needs_no_backend(settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    assert read("--task-seconds=1")["service"]["lanes"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--task-seconds"),
        (["--task-seconds=0"], "from 0.001 up"),
        (["--task-seconds=inf"], "from 0.001 up"),
        (["--task-seconds=soon"], "'soon' is not a number"),
        (["--task-seconds=1", "--concurrency=0"], "from 1 up"),
        (["--task-seconds=1", "--max-instances=1.5"], "is not a number"),
        (["--task-seconds=1", "--route=nowhere"], "no route is named 'nowhere'"),
    ],
)
def test_command_refuses_what_makes_no_sense(arguments, message):
    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_command_with_a_route_but_no_backend_says_which_settings(settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    with pytest.raises(CommandError, match="--settings"):
        run("--task-seconds=1", "--route=add")
