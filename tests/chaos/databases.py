"""The database under a chaos site: it refuses everybody for a while, and tells what it keeps."""

import contextlib
import sqlite3

import psycopg

USERS = "SELECT username FROM auth_user"


class Sqlite:
    def __init__(self, folder):
        self._path = folder / "chaos.sqlite3"
        self.url = f"sqlite:///{self._path}"

    @contextlib.contextmanager
    def refusing(self):
        """Locked, longer than a task waits for it."""
        with contextlib.closing(
            sqlite3.connect(self._path, timeout=10, isolation_level=None)
        ) as database:
            database.execute("BEGIN EXCLUSIVE")
            yield
            database.execute("ROLLBACK")

    def users(self):
        with contextlib.closing(sqlite3.connect(self._path)) as database:
            return {name for (name,) in database.execute(USERS)}


class Postgres:
    def __init__(self, url):
        self.url = url
        self._name = url.rpartition("/")[2]
        self._other = f"{url.rpartition('/')[0]}/template1"

    @contextlib.contextmanager
    def refusing(self):
        """Every connection ended, and no new one let in."""
        with psycopg.connect(self._other, autocommit=True) as database:
            database.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [self._name],
            )
            try:
                yield
            finally:
                database.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')

    def users(self):
        with psycopg.connect(self.url) as database:
            return {name for (name,) in database.execute(USERS).fetchall()}
