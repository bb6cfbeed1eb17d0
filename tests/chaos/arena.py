"""The emulator, a fleet of servers, and whatever they need, for as long as a ``with`` block."""

import contextlib
import json
import socket
import sys
import urllib.request

from asgi_tasks.testing import DeliveryTimeout, emulator_process
from tests.processes import python, running
from tests.sites import site_environment

from .certificates import Certificates
from .databases import Sqlite
from .fleet import Fleet
from .journal import Journal
from .judge import judge
from .strangers import Strangers
from .watch import Watch

BACKLOG = 2048
TIME_FACTOR = 0.002  # retries five hundred times as fast as Google's
PATIENCE = 60  # seconds in which nothing ends; what is under way then is lost
ENDED = ("acknowledged", "dead_lettered")
LOAD_ENDS = 60  # seconds after its last task, at the latest


class Arena:
    """What a run is made of, and the verdict on each of its rounds."""

    def __init__(self, folder, *, seed, emulator, certificates, database):
        self.folder = folder
        self.seed = seed
        self.emulator = emulator
        self.certificates = certificates
        self.database = database
        self._journal = self.reader()
        self._rounds = 0

    def reader(self):
        return Journal(self.folder)

    def arm(self):
        """From now on servers die at the named points."""
        (self.folder / "armed").touch()

    def disarm(self):
        """No more."""
        (self.folder / "armed").unlink(missing_ok=True)

    def enqueue(self, name, *, tasks, rate, kinds):
        """Enqueue so many tasks, so many a second, and wait until each enqueue has returned."""
        options = ("--tasks", tasks, "--rate", rate, "--seed", self.seed, "--prefix", name)
        command = (sys.executable, "-m", "tests.chaos.load", *options, *kinds)
        with running(*command, env=self.env) as load:
            code = load.wait(timeout=tasks / rate + LOAD_ENDS)
            assert code == 0, load.output

    def settle(self):
        """Wait until the broker is quiet; the verdict on all since the last time."""
        self._wait_until_quiet()
        messages = self.emulator.messages()
        self._rounds += 1
        with urllib.request.urlopen(f"{self.emulator.url}/emulator/messages") as record:
            (self.folder / f"record-{self._rounds}.json").write_bytes(record.read())
        verdict = judge(self._journal.news(), messages, self.database.users())
        _forget(self.emulator)
        return verdict

    def _wait_until_quiet(self):
        ended = -1
        while self._count_ended() > ended:
            ended = self._count_ended()
            with contextlib.suppress(DeliveryTimeout):
                self.emulator.wait_until_settled(timeout=PATIENCE)
                return

    def _count_ended(self):
        return sum(one.state in ENDED for one in self.emulator.messages())


@contextlib.contextmanager
def arena(folder, *, seed, servers=4, revision=1, rate=0.0, database=None, spared=0, **options):
    """Servers die with probability ``rate`` at each named point; ``options`` are the emulator's.

    Those of revision 0 do not know every task yet, and the first few may be ``spared``.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=BACKLOG))
        port = listener.getsockname()[1]
        options = {"time_factor": TIME_FACTOR, "push_window": 5, "seed": seed, **options}
        emulator = stack.enter_context(emulator_process(**options))
        certificates = stack.enter_context(Certificates(emulator.certs_url))
        place = Arena(
            folder,
            seed=seed,
            emulator=emulator,
            certificates=certificates,
            database=database or Sqlite(folder),
        )
        place.env = _environment(place, port, rate)
        python("-m", "django", "migrate", "--verbosity", "0", env=place.env)
        python("-m", "django", "provision_tasks", env=place.env)
        fleet = Fleet(
            listener,
            folder,
            place.env,
            servers=servers,
            revision=revision,
            spared=spared,
            journal=place.reader(),
        )
        place.strangers = Strangers(port, certificates.signer)
        place.fleet = stack.enter_context(fleet)
        place.watch = Watch(fleet.witness) if spared else None
        if spared:
            stack.enter_context(place.watch)
        yield place


def _environment(place, port, rate):
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.chaos.site.settings",
        "TESTS_CERTS_URL": place.certificates.url,
        "DATABASE_URL": place.database.url,
        "CHAOS_FOLDER": str(place.folder),
        "CHAOS_SEED": str(place.seed),
        "CHAOS_RATE": str(rate),
        "PYTHONUNBUFFERED": "1",
    }
    return site_environment(place.emulator, place.folder, port, **variables)


def _forget(emulator):
    """The record keeps so many messages; each round begins with none."""
    request = urllib.request.Request(f"{emulator.url}/emulator/messages", method="DELETE")
    with urllib.request.urlopen(request, timeout=30) as response:
        json.load(response)
