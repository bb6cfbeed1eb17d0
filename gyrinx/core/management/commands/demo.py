import itertools
import os
import tempfile
import time
from argparse import ArgumentTypeError
from contextlib import nullcontext
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gyrinx.demo import DemoError, fetch, storm
from gyrinx.demo.children import Children, Interrupted, check_port, free_ports, only_one
from gyrinx.demo.record import Record, answer, is_done, table
from gyrinx.demo.visitor import play
from gyrinx.task_routes import task_routes

TIME_TO_START = 60
TIME_TO_FINISH = 30
TIME_TO_SETTLE = 120
WHAT_TO_TRY = """
Open {site} and

  - sign up: send_welcome_email runs, and the e-mail is in {mail}
  - log out, and in as demo, password demo, who has gangs and a campaign already
  - open a gang and change a fighter: recalculate_list_costs works out the gang's rating
  - open the campaign and export a report: generate_campaign_report writes the PDF

Each line below is a task: published to Pub/Sub's emulator, then pushed to the site with a signed
token, run, and answered. {emulator} shows the same from the emulator's side, and
{server_log} what the site says of it, as JSON for Cloud Logging.
Ctrl-C stops everything.
"""


class Command(BaseCommand):
    """The production loop on this machine: the site, Pub/Sub's emulator, real signed pushes."""

    help = "Run the site with Pub/Sub's emulator and show every task as it is delivered."
    requires_system_checks = ()

    def add_arguments(self, parser):
        parser.add_argument(
            "--port", type=port_number, default=8000, help="of the site (%(default)s)"
        )
        parser.add_argument(
            "--emulator-port", type=port_number, default=8085, help="of the emulator (%(default)s)"
        )
        parser.add_argument(
            "--once",
            action="store_true",
            help="use the site by itself on free ports and a new database, print a table, and end",
        )
        parser.add_argument(
            "--storm",
            type=whole_seconds,
            metavar="SECONDS",
            help="the same for so long, while one push in ten fails, one in ten comes twice, and"
            " the signing key changes every 5 seconds",
        )

    def handle(self, *, port, emulator_port, once, storm, **options):
        self.storm = storm
        once = once or storm is not None
        if once:
            port, emulator_port = free_ports(2)
        folder = tempfile.TemporaryDirectory() if once else nullcontext(settings.VAR)
        try:
            if port == emulator_port:
                raise DemoError("the site and the emulator cannot share a port")
            check_port(port, "--port")
            check_port(emulator_port, "--emulator-port")
            with folder as var:
                self.run(Path(var), f"http://127.0.0.1:{port}", f"127.0.0.1:{emulator_port}", once)
        except DemoError as error:
            raise CommandError(error) from error
        except Interrupted:
            self.stdout.write("\nStopped; nothing is left running.")
            if once:
                raise SystemExit(130) from None

    def run(self, var, site, emulator, once):
        logs = var / "demo"
        logs.mkdir(exist_ok=True)
        with only_one(logs):
            self.run_in(var, logs, site, emulator, once)

    def run_in(self, var, logs, site, emulator, once):
        environ = {
            "DJANGO_SETTINGS_MODULE": "gyrinx.settings_local",
            "GYRINX_VAR": str(var),
            "TASKS_SERVICE_URL": site,
            "PUBSUB_EMULATOR_HOST": emulator,
            "LOG_FORMAT": "json",
        }
        with Children(logs, environ) as children:
            start(children, site, emulator, storm.OPTIONS if self.storm else ())
            record = Record(emulator)
            if self.storm:
                self.stdout.write(f"To watch it: http://{emulator}/")
                self.play_in_a_storm(children, site, record)
            elif once:
                self.play_once(children, site, record)
            else:
                what = WHAT_TO_TRY.format(
                    site=site,
                    emulator=f"http://{emulator}/",
                    server_log=os.path.relpath(children.log("server")),
                    mail=os.path.relpath(var / "mail"),
                )
                self.stdout.write(what)
                self.show_until_stopped(children, record)

    def show_until_stopped(self, children, record):
        while True:
            children.check()
            for line in read(record.new_lines):
                self.stdout.write(line)
            time.sleep(0.25)

    def play_once(self, children, site, record):
        play(site)
        wanted = {route.name for route in task_routes}
        messages = []

        def all_came_back():
            nonlocal messages
            messages = read(record.messages)
            seen = {message["attributes"]["task_name"] for message in messages}
            return seen >= wanted and all(map(is_done, messages))

        if not wait_for(all_came_back, children, TIME_TO_FINISH):
            raise DemoError(explain(messages, wanted))
        for line in table(messages):
            self.stdout.write(line)
        self.stdout.write(f"{len(messages)} tasks were enqueued, pushed and acknowledged.")

    def play_in_a_storm(self, children, site, record):
        until = time.monotonic() + self.storm
        for number in itertools.count():
            children.check()
            play(site, f"visitor-{number}")
            if time.monotonic() > until:
                break
        messages = []

        def all_ended():
            nonlocal messages
            messages = storm.of_tasks(read(record.messages))
            return messages and all(map(storm.has_ended, messages))

        settled = wait_for(all_ended, children, TIME_TO_SETTLE)
        for line in storm.summary(messages):
            self.stdout.write(line)
        if not settled:
            left = [message for message in messages if not storm.has_ended(message)]
            raise DemoError(f"{len(left)} tasks have not ended after {TIME_TO_SETTLE} seconds")
        self.stdout.write("Every task has ended, in success or among the dead letters.")


def port_number(text):
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535")
    return int(text)


def whole_seconds(text):
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds: 60 is a good one")
    return int(text)


def start(children, site, emulator, emulator_options=()):
    port = emulator.rpartition(":")[2]
    children.start("emulator", "-m", "asgi_tasks.emulator", "--port", port, *emulator_options)
    children.run("migrate", "manage.py", "migrate", "--no-input")
    children.run("load_sample", "manage.py", "load_sample")
    if not wait_for(lambda: answers(f"http://{emulator}/emulator/health"), children):
        raise DemoError(f"the emulator did not answer within {TIME_TO_START} seconds")
    children.run("provision_tasks", "manage.py", "provision_tasks")
    port = site.rpartition(":")[2]
    children.start("server", "-m", "asgi_tasks.server", "-p", port, "gyrinx.asgi:application")
    if not wait_for(lambda: answers(f"{site}/health/live"), children):
        raise DemoError(f"the site did not answer within {TIME_TO_START} seconds")


def wait_for(condition, children, seconds=TIME_TO_START):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        children.check()
        if condition():
            return True
        time.sleep(0.1)
    return False


def answers(url):
    try:
        fetch(url)
    except OSError:
        return False
    return True


def read(source):
    """Nothing where the emulator does not answer: whether it still runs is asked elsewhere."""
    try:
        return list(source())
    except OSError:
        return []


def explain(messages, wanted):
    missing = wanted - {message["attributes"]["task_name"] for message in messages}
    late = [
        f"{message['attributes']['task_name']} {message['attributes']['task_id']} is"
        f" {message['state']}, and its pushes were answered"
        f" {', '.join(str(answer(delivery)) for delivery in message['deliveries'])}"
        for message in messages
        if not is_done(message)
    ]
    reasons = [*(f"{name} was not enqueued" for name in sorted(missing)), *late]
    return f"after {TIME_TO_FINISH} seconds: {'; '.join(reasons)}"
