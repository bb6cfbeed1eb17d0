"""The site whose tasks go wrong on demand, in a process of its own, and a look at its database."""

import contextlib
import json
import sqlite3
from collections import Counter
from urllib.parse import urlsplit

import psycopg

from asgi_tasks.testing import emulator_process
from tests.sites import running_site

USERS = "SELECT last_name FROM auth_user WHERE first_name = "
ACTIVITY = """
SELECT count(*),
       count(*) FILTER (WHERE state LIKE 'idle in transaction%%'),
       coalesce(max(clock_timestamp() - state_change)
                FILTER (WHERE state LIKE 'idle in transaction%%'), '0 s')
FROM pg_stat_activity WHERE application_name = %s
"""


@contextlib.contextmanager
def faulty_site(folder, *, database=None, options=None, **variables):
    """The site behind an emulator of its own; ``options`` are those of its database."""
    if database:
        variables["DATABASE_URL"] = database
        if not database.startswith("sqlite"):
            options = {"application_name": folder.name, **(options or {})}
    variables |= {
        "DJANGO_SETTINGS_MODULE": "tests.reliability.faulty.settings",
        "TESTS_DATABASE_OPTIONS": json.dumps(options or {}),
    }
    with (
        emulator_process(time_factor=0.02) as emulator,
        running_site(emulator, folder, **variables) as site,
    ):
        yield site


def open_gate(site, key):
    """Let tasks go on that wait for it."""
    site.path.with_name(f"gate-{key}").touch()


def effect(site, task, key):
    """What a task recorded, once it has."""
    return site.wait_until(lambda: site.effects(task, key=key))[0]


def statuses(site, task_id):
    """The answers to a task's deliveries so far."""
    record = site.deliveries(task_id)
    return [delivery["status"] for delivery in record["deliveries"]] if record else []


def settled(site, *task_ids):
    """The answers to the deliveries of each task, once all are acknowledged."""
    records = site.wait_until_settled(*task_ids)
    assert {record["state"] for record in records} == {"acknowledged"}
    return [[delivery["status"] for delivery in record["deliveries"]] for record in records]


def users(url, key):
    """What the tasks of this key left in the database: the last names of its users."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(urlsplit(url).path[1:])) as database:
            return [name for (name,) in database.execute(f"{USERS} ?", [key])]
    with psycopg.connect(url) as database:
        return [name for (name,) in database.execute(f"{USERS} %s", [key]).fetchall()]


def count_users(url):
    """How many users there are of each key."""
    with psycopg.connect(url) as database:
        statement = "SELECT first_name, count(*) FROM auth_user GROUP BY first_name"
        return Counter(dict(database.execute(statement).fetchall()))


def waiting_for_locks(url):
    """How many sessions wait for a lock."""
    with psycopg.connect(url) as database:
        return database.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]


def activity(url, site):
    """The site's connections, those idle in a transaction, and for how long the first of them."""
    with psycopg.connect(url) as database:
        return database.execute(ACTIVITY, [site.path.parent.name]).fetchone()
