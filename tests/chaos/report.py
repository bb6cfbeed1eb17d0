"""The table at the end, and what was wrong."""

from .fleet import KILLS
from .judge import BROKER
from .logs import suspicious_lines
from .watch import ALLOWED_GROWTH

MOST_THREADS = 24  # lanes, the loop, the publisher's, the watchdog's and a few to spare
SLOWEST_DRAIN = 9.5  # seconds
SHOWN = 10


def find_faults(place, verdict):
    """A line for each thing that must not be."""
    faults = [*verdict.faults, *place.strangers.faults]
    faults += [f"a server ended by itself with {code}" for code in place.fleet.crashes]
    faults += [f"logged: {line}" for line in suspicious_lines(place.fleet.logs)]
    if place.watch and place.watch.growth > ALLOWED_GROWTH:
        faults.append(f"memory grew by {place.watch.growth:.1f} MB")
    if place.watch and place.watch.threads > MOST_THREADS:
        faults.append(f"{place.watch.threads} threads in one process")
    if slow := [seconds for seconds in place.fleet.drains if seconds > SLOWEST_DRAIN]:
        faults.append(f"a server took {max(slow):.1f} s to drain")
    return faults


def table(place, verdict):
    yield from _kills(verdict)
    yield ""
    for name, count in verdict.counts.items():
        yield f"{name:28} {count:>7}"
    yield f"{'lost':28} {len(verdict.lost):>7}"
    yield f"{'acknowledged, no effect':28} {len(verdict.unproven):>7}"
    yield f"{'wrongly dead letters':28} {len(verdict.wrongly_dead):>7}"
    yield f"{'published although refused':28} {len(verdict.not_refused):>7}"
    yield ""
    yield "answers to pushes: " + _listed(verdict.answers)
    if place.strangers.answers:
        yield from _strangers(place.strangers.answers)
    yield f"server starts: {place.fleet.starts}, drained: {len(place.fleet.drains)}"
    if place.watch:
        memory = " / ".join(f"{megabytes:.1f}" for megabytes in place.watch.memory())
        yield f"memory of the server that lived on, MB by thirds: {memory or 'not measured'}"
        yield f"threads of it at most: {place.watch.threads}"


def _kills(verdict):
    doubled = verdict.doubled
    yield f"{'killed':28} {'kills':>7} {'done twice':>11} {'beside it':>10}"
    for point in KILLS:
        row = (verdict.kills[point], doubled[point, "own"], doubled[point, "beside"])
        yield "{:28} {:>7} {:>11} {:>10}".format(point, *row)
    yield f"{BROKER:28} {'':>7} {doubled[BROKER, None]:>11}"


def _strangers(answers):
    yield "answers to strangers:"
    for what in sorted({what for what, _ in answers}):
        found = {str(status): n for (name, status), n in answers.items() if name == what}
        yield f"  {what:26} {_listed(found)}"


def _listed(counter):
    return ", ".join(f"{name}: {counter[name]}" for name in sorted(counter))
