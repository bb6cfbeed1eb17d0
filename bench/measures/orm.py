"""Rows 8 and 8b: tasks that ask a database, PostgreSQL here."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import psycopg

from bench.figures import Figure, Measured, alternate, ratios
from bench.load import loading
from bench.measures.pushes import push
from bench.servers import PUSH_PATH, daphne, ours, serving_sites
from tests.postgres import postgres

LANES = 8  # the default of the option `threads`
COUNT = 1_000
SAMPLE = 0.02  # seconds between two looks at the connections
WARM_UP = 40
OURS = "bench.bodies.ours"
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
USERS = """
    INSERT INTO auth_user (id, username, password, first_name, last_name, email,
        is_superuser, is_staff, is_active, date_joined)
    SELECT id, 'user' || id, '', '', '', '', false, false, true, now()
    FROM generate_series(1, 3) AS id
"""
# What a server of bench.site is told of psycopg's pool.
WAYS = {"without a pool": {}, "with psycopg's pool": {"BENCH_POOL": LANES}}


def query_and_wait(plan):
    """8: one query, then a second in which nobody may wait for a lane."""
    count = plan.count(COUNT)
    with database() as site, loading() as load:
        found = alternate(
            plan,
            {
                way: site.pushing(load, count, way, task="query_and_wait", seconds=1, at_once=count)
                for way in WAYS
            },
            warm_up=False,
        )
    return Measured(
        figures=[
            figure
            for way, runs in found.items()
            for figure in (
                Figure(
                    name=f"{count:,} pushes, a query and a wait of 1 s, {way}",
                    unit="s",
                    values=[run.seconds for run in runs],
                    at_most=3,
                ),
                connections_of(f"{count:,} such pushes, {way}", runs),
            )
        ]
    )


def query_three(plan):
    """8b: three queries, beside an async view that does the same."""
    count = plan.count(COUNT)
    with database() as site, loading() as load:
        subjects = {}
        for way in WAYS:
            subjects[way, "coroutine task"] = site.pushing(load, count, way, task="query_three")
            subjects[way, "sync task"] = site.pushing(load, count, way, task="query_three_sync")
            subjects[way, "view"] = site.viewing(load, plan.count(COUNT // 4), way)
        found = alternate(plan, subjects, warm_up=False)
    return Measured(figures=[figure for way in WAYS for figure in compare(found, way)])


def compare(found, way):
    view = [run.a_second for run in found[way, "view"]]
    yield Figure(name=f"async Django view, stock Daphne, {way}", unit="a second", values=view)
    for kind in ("coroutine task", "sync task"):
        runs = found[way, kind]
        a_second = [run.a_second for run in runs]
        yield Figure(name=f"our pushes, {kind}, {way}", unit="a second", values=a_second)
        yield Figure(
            name=f"{kind} against the view, {way}",
            unit="times",
            values=ratios(a_second, view),
            at_least=2,
        )
        yield connections_of(f"our pushes, {kind}, {way}", runs)


def connections_of(name, runs):
    return Figure(
        name=f"{name}: database connections",
        unit="connections",
        values=[run.connections for run in runs],
        at_most=LANES,
    )


@contextmanager
def database(ways=WAYS):
    """Servers on a database that holds three users."""
    with postgres() as url, serving_sites() as sites:
        migrate = [sys.executable, "-m", "django", "migrate", "--settings=bench.site.settings"]
        subprocess.run([*migrate, "-v", "0"], check=True, env=os.environ | {"DATABASE_URL": url})
        with psycopg.connect(url) as connection:
            connection.execute(USERS)
        yield Site(sites, url, ways)


class Site:
    """Servers of bench.site on one database, each known there by its name.

    ``ways`` has the environment variables of each way in which they are served.
    """

    def __init__(self, sites, url, ways):
        self._sites = sites
        self._url = url
        self._ways = ways
        self._served = {}

    def pushing(self, load, count, way, *, task, at_once=32, **arguments):
        """A function that sends our server so many pushes."""
        name, (server, headers) = self._serve("ours", way, ours())
        order = {"task": task, "args": [*arguments.values()]}
        options = {"headers": headers, "connections": at_once}
        return self._warm(
            name,
            count,
            lambda number: push(server, load, PUSH_PATH, OURS, number, order, **options),
        )

    def viewing(self, load, count, way):
        """A function that asks stock Daphne for the view so often."""
        name, (server, _) = self._serve("view", way, daphne())
        order = {"task": "nothing"}
        return self._warm(
            name, count, lambda number: push(server, load, "/query-three/", OURS, number, order)
        )

    def _warm(self, name, count, send):
        """A function that sends so many, once some have been sent."""
        send(WARM_UP)
        return lambda: self._watch(name, lambda: send(count))

    def _serve(self, kind, way, command):
        name = f"{kind} {way}"
        if name not in self._served:
            url = f"{self._url}?application_name={name.replace(' ', '%20')}"
            variables = {"DATABASE_URL": url, **self._ways[way]}
            self._served[name] = self._sites.serve(*command, **variables)
        return name, self._served[name]

    def _watch(self, name, run):
        """What the run gives, and the most connections of the name meanwhile."""
        most, is_over = 0, threading.Event()

        def watch():
            nonlocal most
            with psycopg.connect(self._url, autocommit=True) as connection:
                while True:
                    most = max(most, connection.execute(CONNECTIONS, [name]).fetchone()[0])
                    if is_over.wait(SAMPLE):
                        return

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            found = run()
        finally:
            is_over.set()
            watcher.join()
        found.connections = most
        return found
