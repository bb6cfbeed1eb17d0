"""The demo while things go wrong: what `demo --storm` asks of the emulator, and what came of it."""

from collections import Counter

KEYS_EVERY = 5  # seconds
FAULTS = ("push.fail:rate=0.1", "push.duplicate:rate=0.1")
# Retries come ten times as fast as in production, so that nobody waits for them.
OPTIONS = (
    *(word for fault in FAULTS for word in ("--fault", fault)),
    *("--rotate-keys", str(KEYS_EVERY)),
    *("--time-factor", "0.1"),
)
ENDED = ("acknowledged", "dead_lettered")
COLUMNS = "{:26} {:>9} {:>10} {:>13} {:>7} {:>7} {:>8} {:>8}"


def of_tasks(messages):
    """Without the dead letters' own copies, which wait for somebody to look at them."""
    return [message for message in messages if not message["topic"].endswith("-dead-letter")]


def has_ended(message):
    return message["state"] in ENDED


def summary(messages):
    yield COLUMNS.format(
        *("task", "enqueued", "succeeded", "dead letters"),
        *("pushes", "failed", "doubled", "refused"),
    )
    by_task = {}
    for message in messages:
        by_task.setdefault(message["attributes"]["task_name"], Counter()).update(facts(message))
    for name, counts in sorted(by_task.items()):
        yield row(name, counts)
    yield row("all", sum(by_task.values(), Counter()))


def facts(message):
    """What a task adds to its row."""
    yield "enqueued"
    yield message["state"]
    for delivery in message["deliveries"]:
        yield "pushes"
        if delivery["fault"]:
            yield delivery["fault"]
        if 400 <= (delivery["status"] or 0) < 500:
            yield "refused"  # a token that could not be verified, for example


def row(name, counts):
    columns = (
        "enqueued",
        "acknowledged",
        "dead_lettered",
        "pushes",
        "push.fail",
        "push.duplicate",
        "refused",
    )
    return COLUMNS.format(name, *(counts[column] for column in columns))
