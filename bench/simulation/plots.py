"""A run as a picture: backlog, push window and instances. The same run gives the same file."""

import hashlib

from asgi_tasks.management.tables import number


def shown(run):
    """The moments that a plot has: the start, or all of it if the backlog lasts."""
    return run.moments if run.drained_at > 250 else run.moments[:301]


def digest(run):
    """Of what a plot shows: written into it, so that a test can tell whether it is of this run."""
    text = repr((title(run.scenario), [tuple(moment) for moment in shown(run)]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def title(scenario):
    settings = scenario.settings
    burst = f", and {scenario.burst:,} at once after a minute" if scenario.burst else ""
    subscriptions = "one subscription"
    if settings.subscriptions > 1:
        subscriptions = f"{settings.subscriptions} subscriptions"
    return (
        f"{scenario.rate:,} tasks a second{burst}\n{subscriptions}, "
        f"concurrency {settings.concurrency}, at most {settings.max_instances:,} instances"
    )


def plot(run, path):
    """Write an SVG, or whatever else the path ends in. Needs matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "asgi_tasks", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(8, 6.5), layout="constrained")
        axes = figure.subplots(3, 1, sharex=True)
        _draw(shown(run), *axes)
        figure.suptitle(title(run.scenario), fontsize=11)
        metadata = None
        if path.suffix == ".svg":
            metadata = {"Date": None, "Creator": None, "Description": digest(run)}
        figure.savefig(path, metadata=metadata)


def _draw(moments, waiting, pushes, instances):
    seconds, backlog, window, under_way, running = zip(*moments, strict=True)
    waiting.fill_between(seconds, backlog, color="#c44e52")
    waiting.set_ylabel("backlog\n(messages)")
    pushes.plot(seconds, window, color="#8c8c8c", label="push window")
    pushes.plot(seconds, under_way, color="#4c72b0", label="under way", linewidth=1)
    pushes.set_yscale("symlog", linthresh=1)
    pushes.set_ylabel("pushes\n(logarithmic)")
    pushes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderpad=0)
    instances.step(seconds, running, where="post", color="#55a868")
    instances.set_ylabel("instances")
    instances.set_xlabel("seconds since the first task")
    for axis in (waiting, pushes, instances):
        axis.grid(visible=True, color="#e5e5e5")
        axis.set_axisbelow(True)
        axis.set_xlim(0, seconds[-1])
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(lambda value, _: number(value))
    for axis in (waiting, instances):
        axis.yaxis.get_major_locator().set_params(integer=True)
