"""
Measure what docs/benchmarks.md shows, and write it there: ``python -m bench``.

Ends with 0 also where a figure is not what is wanted, for a measurement is no test; with 1 where
something could not be measured.
"""

import importlib.util
import sys
import time
import traceback
from pathlib import Path

from asgi_tasks.management.arguments import number_from
from asgi_tasks.management.tables import duration, table
from bench import page, results
from bench.arguments import LEAST_ROUNDS, Parser, rounds, run
from bench.figures import Measured, Plan
from bench.measures import MEASURES
from bench.recording import DOCS, PageRecord, Record
from tests.postgres import PostgresMissing


def main(arguments=None, measures=MEASURES, docs=DOCS):
    """Return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not Path("/proc/self/stat").exists():
        parser.error("this needs Linux: what a server uses is read from /proc")
    chosen = _choose(parser, options.only, measures)
    plan = Plan(rounds=options.rounds, scale=options.scale)
    try:
        record = _open_record(parser, options, measures, docs)
    except (results.Unusable, OSError) as error:
        parser.error(str(error))
    if importlib.util.find_spec("django_tasks_pubsub") is None:
        say("django-tasks-pubsub is not here, it needs Python 3.13: no row beside it is measured\n")
    record = _ready(record, is_whole=chosen.keys() == measures.keys())
    return measure(chosen, plan, record)


def measure(measures, plan, record=None):
    """Measure one after the other. Return the exit code."""
    started, done, failed = time.monotonic(), {}, []
    for number, measure_row in measures.items():
        say(f"row {number}: {title(number, measure_row)}")
        row = _measure_one(measure_row, plan)
        if row is None:
            failed.append(number)
            continue
        done[number] = Measured.from_json(row)
        show(done[number], row["seconds"])
        if record:
            record.add(number, row)
    show_summary(done, failed, time.monotonic() - started)
    return 1 if failed else 0


def title(number, measure_row):
    """What is measured: the first line of its docstring, without the number."""
    line = (measure_row.__doc__ or "").strip().partition("\n")[0]
    return line.removeprefix(f"{number}: ")


def _measure_one(measure_row, plan):
    started = time.monotonic()
    try:
        measured = measure_row(plan)
    except PostgresMissing as missing:
        say(f"  not measured: {missing}\n")
    except Exception:
        traceback.print_exc()
        say("  not measured: see the error above\n")
    else:
        return results.row(measured, plan, time.monotonic() - started)


def show(measured, seconds):
    rows = [page.cells(figure, "NOT REACHED") for figure in measured.figures]
    for line in table(page.HEAD, rows):
        say(f"  {line}")
    say(f"  took {duration(seconds)}\n")


def show_summary(done, failed, seconds):
    figures = [(number, each) for number, found in done.items() for each in found.figures]
    wanted = [(number, figure) for number, figure in figures if figure.is_wanted]
    missed = [(number, figure) for number, figure in wanted if not figure.is_reached]
    reached = len(wanted) - len(missed)
    say(f"{reached} of {len(wanted)} wanted figures reached, in {duration(round(seconds))}")
    for number, figure in missed:
        name, unit, median, *_, wish = page.cells(figure, "NOT REACHED")
        say(f"  row {number}: {name}: {median} {unit}, {wish}")
    for number in failed:
        say(f"  row {number}: NOT MEASURED")


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser():
    parser = Parser(prog="bench", description="Measure what docs/benchmarks.md shows.")
    parser.add_argument("--only", metavar="ROWS", help="such as 3, or 1,3,8b (default: all)")
    parser.add_argument(
        "--rounds", type=rounds, default=LEAST_ROUNDS, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--scale", type=number_from(float, 0.001, 1), default=1.0, help="of the counts, for tests"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write there, and leave the page as it is"
    )
    parser.add_argument("--no-page", action="store_true", help="leave the page as it is")
    return parser


def _choose(parser, only, measures):
    if only is None:
        return measures
    named = [name.strip() for name in only.split(",")]
    for name in named:
        if name not in measures:
            parser.error(f"there is no row {name!r}: there are {', '.join(measures)}")
    return {number: measures[number] for number in measures if number in named}


def _open_record(parser, options, measures, docs):
    """Where the rows go, if anywhere. Raise results.Unusable or OSError."""
    if options.json:
        if not options.json.absolute().parent.is_dir():
            parser.error(f"--json: there is no folder {options.json.parent}")
        return Record(options.json, measures)
    if options.no_page or options.scale != 1:
        return None
    if options.rounds < LEAST_ROUNDS:
        parser.error(f"the page needs {LEAST_ROUNDS} rounds or more: add --no-page for fewer")
    return PageRecord(measures, docs)


def _ready(record, is_whole):
    """The record, if it takes these rows; all of them it always takes."""
    if record and record.refusal and is_whole:
        record.clear()
    elif record and record.refusal:
        say(f"nothing is written: {record.refusal}\n")
        return None
    return record


if __name__ == "__main__":
    run(main)
