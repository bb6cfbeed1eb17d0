"""
What binds first at 10, 1,000 and 100,000 tasks a second: ``python -m bench.simulate``.

Pub/Sub's push window and quotas, Cloud Run's instances and the database, worked out step by step
from measured costs and published rules. Prints the tables of docs/explanation/scaling.md.
"""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

from asgi_tasks.management.arguments import number_from

from .arguments import Parser
from .simulation.facts import PUSH_CPU_SECONDS
from .simulation.plots import plot
from .simulation.run import simulate
from .simulation.scenarios import SCENARIOS
from .simulation.tables import data, page


def main(arguments=None):
    parser = Parser(prog="bench.simulate", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seed", type=number_from(int, 0), default=1, help="(default: 1)")
    parser.add_argument(
        "--push-cpu-seconds",
        type=number_from(float, 0),
        default=PUSH_CPU_SECONDS,
        help=f"processor for a push, without the task's own (default: {PUSH_CPU_SECONDS:.6f})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="write an SVG of each run")
    options = parser.parse_args(arguments)
    if options.plot:
        _check_plotting(parser, options.plot)
    runs = [
        simulate(_with_push_cost(scenario, options.push_cpu_seconds), options.seed)
        for scenario in SCENARIOS
    ]
    if options.json:
        json.dump([data(run) for run in runs], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n\n".join(page(runs, options.seed).values()) + "\n")
    if options.plot:
        for run in runs:
            plot(run, options.plot / f"scaling-{run.scenario.name}.svg")


def _check_plotting(parser, folder):
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install -r requirements/bench.txt")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--plot: cannot write to {folder}: {error.strerror}")


def _with_push_cost(scenario, seconds):
    return replace(scenario, task=replace(scenario.task, push_cpu_seconds=seconds))


if __name__ == "__main__":
    main()
