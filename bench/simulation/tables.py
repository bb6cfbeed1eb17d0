"""What a simulation says, as the tables of docs/explanation/scaling.md and as data."""

from dataclasses import asdict, replace

from asgi_tasks.management.tables import duration, number

from .costs import a_month, costs
from .facts import MAX_INSTANCES, facts
from .run import percentile, simulate
from .scenarios import DEPLOYED, Scenario, limits, variations

# What the limits are before anyone has set anything for the rate.
BEFORE = (
    Scenario(name="deployed", title="as deployed: 5 instances", rate=0, settings=DEPLOYED),
    Scenario(
        name="default",
        title=f"{MAX_INSTANCES} instances",
        rate=0,
        settings=replace(DEPLOYED, max_instances=MAX_INSTANCES),
    ),
)
BY_RATE = ("10", "1000", "100000")


def page(runs, seed=1):
    """The tables, in the order of the page."""
    settled = [run for run in runs if run.scenario.name in BY_RATE]
    before = [replace(scenario, task=runs[0].scenario.task) for scenario in BEFORE]
    largest = [run.scenario for run in runs if run.scenario.rate == 100_000]
    return {
        "limits": limits_table((*before, *(run.scenario for run in settled))),
        "settings": settings_table([run.scenario for run in settled]),
        "results": results_table(runs),
        "variations": variations_table(largest, seed),
        "costs": costs_table(settled),
        "facts": markdown(("what", "figure", "who says so"), facts()),
    }


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def limits_table(scenarios):
    """Tasks a second that each limit lets through; the one that binds first is bold."""
    columns = [limits(scenario) for scenario in scenarios]
    rows = []
    for name in [limit.name for limit in columns[1]]:
        row = [name]
        for found in columns:
            rate = next(number(limit.rate) for limit in found if limit.name == name)
            row.append(f"**{rate}**" if found[0].name == name else rate)
        rows.append(row)
    return markdown(("tasks a second", *(scenario.title for scenario in scenarios)), rows)


def settings_table(scenarios):
    rows = {
        "`--concurrency`": lambda chosen: chosen.concurrency,
        "`--max-instances`": lambda chosen: chosen.max_instances,
        "option `threads`": lambda chosen: chosen.lanes,
        "pool's `max_size`": lambda chosen: chosen.pool_size,
        "`max_connections`": lambda chosen: chosen.database_connections,
        "connections, at the most": lambda chosen: chosen.connections,
        "subscriptions for the task": lambda chosen: chosen.subscriptions,
        "region, by its push quota": lambda chosen: chosen.region,
    }
    return markdown(
        ("tasks a second", *(scenario.title for scenario in scenarios)),
        [
            (name, *(_plain(value(scenario.settings)) for scenario in scenarios))
            for name, value in rows.items()
        ],
    )


def _plain(value):
    return value if isinstance(value, str) else f"{value:,}"


def results_table(runs):
    columns = [list(_results(run).items()) for run in runs]
    rows = [(cells[0][0], *(shown for _, shown in cells)) for cells in zip(*columns, strict=True)]
    return markdown(("tasks a second", *(run.scenario.title for run in runs)), rows)


def _results(run):
    settled, all_of_it = run.settled_delays, run.delays
    return {
        "instances, settled": number(run.settled_instances),
        "instances, at the most": number(run.peak_instances),
        "under way, settled": number(run.settled_under_way),
        "under way, at the most": number(run.peak_under_way),
        "push window, at the most": number(run.peak_window),
        "backlog, at the most": number(run.peak_backlog),
        "worked off after": _drained(run),
        "delay, settled: median": duration(percentile(settled, 0.5)),
        "delay, settled: 99th percentile": duration(percentile(settled, 0.99)),
        "delay, whole run: median": duration(percentile(all_of_it, 0.5)),
        "delay, whole run: 99th percentile": duration(percentile(all_of_it, 0.99)),
        "refused (429)": number(run.refused),
    }


def variations_table(scenarios, seed):
    """How long the backlog of a cold start at 100,000 a second lasts if something is different."""
    rows = []
    for what, changed in variations(scenarios):
        found = [simulate(scenario, seed) for scenario in changed]
        rows.append((what, *(_drained(run) for run in found)))
    titles = [f"worked off after, {_subscriptions(scenario)}" for scenario in scenarios]
    return markdown(("100,000 tasks a second", *titles), rows)


def _subscriptions(scenario):
    number_of_them = scenario.settings.subscriptions
    return "one subscription" if number_of_them == 1 else f"{number_of_them} subscriptions"


def _drained(run):
    if run.drained_at >= run.scenario.seconds:
        return f"more than {duration(run.scenario.seconds)}"
    return duration(round(run.drain_seconds))


def costs_table(runs):
    found = [costs(run) for run in runs]
    rows = [
        ("a million: instances, billed by request", *(_dollars(one.by_request) for one in found)),
        ("a million: instances, billed by instance", *(_dollars(one.by_instance) for one in found)),
        ("a million: Pub/Sub", *(_dollars(one.pubsub) for one in found)),
        ("a million: log", *(_dollars(one.log) for one in found)),
        ("**a million, the cheaper billing**", *(_dollars(one.total) for one in found)),
        ("**a month**", *(_dollars(a_month(run)) for run in runs)),
    ]
    return markdown(("tasks a second", *(run.scenario.title for run in runs)), rows)


def _dollars(value):
    return f"\\${value:,.0f}" if value >= 100 else f"\\${value:,.2f}"


def data(run):
    """Everything of a run as JSON has it."""
    found = limits(run.scenario)
    return {
        "scenario": asdict(run.scenario),
        "binds_first": found[0]._asdict(),
        "limits": {limit.name: limit.rate for limit in found},
        "instances": {"settled": run.settled_instances, "peak": run.peak_instances},
        "under_way": {"settled": run.settled_under_way, "peak": run.peak_under_way},
        "push_window_peak": run.peak_window,
        "backlog_peak": run.peak_backlog,
        "drain_seconds": run.drain_seconds,
        "delay_seconds": {
            "settled": _percentiles(run.settled_delays),
            "all": _percentiles(run.delays),
        },
        "enqueued": run.enqueued,
        "done": run.done,
        "refused": run.refused,
        "dollars_a_million": costs(run)._asdict(),
        "dollars_a_month": a_month(run),
    }


def _percentiles(delays):
    return {"median": percentile(delays, 0.5), "p99": percentile(delays, 0.99)}
