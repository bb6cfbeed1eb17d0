"""Server processes: ours, Daphne's own, Uvicorn and gunicorn, and what they use."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.processes import free_port, wait_until_listening
from tests.tokens import CertificatesServer, Signer

PUSH_PATH = "/tasks/pubsub/"
PEER_PATH = "/pubsub/push/"
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server process and its children."""

    def __init__(self, process, port, output):
        self.port = port
        self.pid = process.pid
        self._process = process
        self._output = output

    @property
    def is_running(self):
        return self._process.poll() is None

    @property
    def output(self):
        """What all of them have written so far."""
        return Path(f"/proc/self/fd/{self._output.fileno()}").read_text()

    @property
    def pids(self):
        """Of the process, and of its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    @property
    def cpu_seconds(self):
        """What all of them have used so far."""
        return sum(_cpu_ticks(pid) for pid in self.pids) / TICKS

    @property
    def megabytes(self):
        """Resident memory of all of them."""
        return sum(_status(pid, "VmRSS") for pid in self.pids) / 1024

    @property
    def peak_megabytes(self):
        """The most resident memory that they have had so far."""
        return sum(_status(pid, "VmHWM") for pid in self.pids) / 1024

    @property
    def threads(self):
        return sum(_status(pid, "Threads") for pid in self.pids)

    @property
    def files(self):
        """Open file descriptors."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids)  # noqa: PTH208


@contextmanager
def serving(command, **variables):
    """A server; ``{port}`` in its command is the port it listens on."""
    port = free_port()
    words = [str(word).format(port=port) for word in command]
    env = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    values = {name: str(value).format(port=port) for name, value in variables.items()}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *words],
            env=env | values,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            server = Server(process, port, output)
            wait_until_listening(server, f"http://127.0.0.1:{port}")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Site:
    """The servers of bench.site, and the token of the pushes to them."""

    def __init__(self, stack, signer, certificates):
        self._stack = stack
        self._signer = signer
        self._certificates = certificates

    def serve(self, *command, **variables):
        """A server of bench.site, and the headers of the pushes to it."""
        server = self._stack.enter_context(
            serving(
                command,
                **{
                    "DJANGO_SETTINGS_MODULE": "bench.site.settings",
                    "BENCH_SERVICE_URL": "http://127.0.0.1:{port}",
                    "BENCH_CERTS_URL": self._certificates.url,
                }
                | variables,
            )
        )
        token = self._signer.token(f"http://127.0.0.1:{server.port}{PUSH_PATH}")
        return server, {"Authorization": f"Bearer {token}"}

    def serve_other(self, *command, **variables):
        """Any other server."""
        return self._stack.enter_context(serving(command, **variables))


@contextmanager
def serving_sites():
    """All that is served in here ends with it."""
    signer = Signer()
    with closing(CertificatesServer(signer.by_key)) as certificates, ExitStack() as stack:
        yield Site(stack, signer, certificates)


def ours(application="bench.site.asgi:application"):
    """Our server, as docker/entrypoint.sh starts it."""
    return ("-m", "asgi_tasks.server", "-b", "127.0.0.1", "-p", "{port}", application)


def daphne(application="bench.site.asgi:application"):
    """Daphne as it comes, without its access log: ours keeps none either."""
    return ("-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", application)


def uvicorn(application="bench.site.asgi:application"):
    """As docs/how-to/run-under-another-server.md starts it, with httptools, without uvloop."""
    return (
        *("-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--lifespan", "off"),
        *("--http", "httptools", "--loop", "asyncio", "--timeout-graceful-shutdown", "8"),
        *("--host", "127.0.0.1", "--port", "{port}", application),
    )


def gunicorn(application="bench.peer.wsgi:application"):
    """Two processes of twenty threads."""
    return (
        *("-m", "gunicorn", "--workers", "2", "--threads", "20", "--log-level", "warning"),
        *("--bind", "127.0.0.1:{port}", application),
    )


def _cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _status(pid, name):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
