"""What the simulation takes for given, and who says so. Quotas and prices change: AS_OF."""

from typing import NamedTuple

from asgi_tasks.capacity import PUSH_WINDOW, PUSHES_A_SECOND, SMALLEST_MESSAGE

AS_OF = "November 2026"

# Pub/Sub's push window, https://docs.cloud.google.com/pubsub/docs/push#delivery_rate: begins with
# "a small single-digit window size", grows exponentially with acknowledged pushes and from 3,000
# outstanding messages linearly, and is back at 3,000 when pushes take over a second on average
# or fewer than 99 % succeed.
FIRST_WINDOW = 5
LINEAR_GROWTH = 100  # a second; how steep is not published
LONGEST_LATENCY = 1.0
FEWEST_ACKNOWLEDGED = 0.99
LATENCY_WINDOW = 10.0  # seconds that the average is taken over; not published
# https://docs.cloud.google.com/pubsub/docs/push#push_backoff
SHORTEST_BACKOFF, LONGEST_BACKOFF = 0.1, 60.0
# "typically on the order of 100 milliseconds", https://docs.cloud.google.com/pubsub/docs/overview
PUBSUB_LATENCY = 0.1
# https://docs.cloud.google.com/pubsub/quotas, bytes a second of all pushes of a project in a
# region: regionalpushsubscriber.
PUSH_QUOTAS = {"small": 40e6, "medium": 140e6, "large": 440e6}
PUBLISH_QUOTAS = {"small": 200e6, "medium": 800e6, "large": 4e9}

# Cloud Run, https://docs.cloud.google.com/run/docs/about-instance-autoscaling: it aims at 60 % of
# the processor and of the concurrency, each over a minute; starts instances for requests that
# wait; and answers 429 to one that has waited 10 s, or 3.5 times a start if that is longer.
TARGET = 0.6
SCALING_WINDOW = 60.0
SCALING_INTERVAL = 5.0  # an earlier version of that page; it now says "regularly"
LONGEST_WAIT = 10.0
WAIT_IN_STARTS = 3.5
START_SECONDS = 4.0  # of an instance until it is ready: ours, assumed
STARTS_A_SECOND = 10.0  # not published
# https://docs.cloud.google.com/run/quotas: of an instance whose container speaks HTTP/1.
REQUESTS_AN_INSTANCE = 800
MAX_INSTANCES = 100  # unless told otherwise

# Dollars, list prices of tier 1, without what is free each month and without commitments:
# https://cloud.google.com/run/pricing
CPU_SECOND, MEMORY_SECOND, REQUEST = 24e-6, 2.5e-6, 0.4e-6  # request-based
ALWAYS_CPU_SECOND, ALWAYS_MEMORY_SECOND = 18e-6, 2e-6  # instance-based: no charge for requests
# https://cloud.google.com/pubsub/pricing: published and pushed bytes alike.
PUBSUB_BYTE = 40 / 2**40
# https://cloud.google.com/stackdriver/pricing
LOG_BYTE = 0.5 / 2**30
LOG_BYTES = 2_000  # of a task: our two lines and Cloud Run's own of the request; assumed

PUSH_CPU_SECONDS = 1 / PUSHES_A_SECOND


class Fact(NamedTuple):
    """A row of the table that shows what the figures rest on."""

    what: str
    value: str
    says: str


_PUSH = "[Pub/Sub](https://docs.cloud.google.com/pubsub/docs/push)"
_SCALING = "[Cloud Run](https://docs.cloud.google.com/run/docs/about-instance-autoscaling)"
_RUN_PRICES = "[Cloud Run](https://cloud.google.com/run/pricing)"


def _megabytes(quotas: dict[str, float]) -> str:
    return " / ".join(f"{quota / 1e6:,.0f}" for quota in quotas.values())


def facts() -> tuple[Fact, ...]:
    """Everything that is not arithmetic."""
    return (
        Fact("push window at first", f"{FIRST_WINDOW}", f'{_PUSH}: "single-digit"'),
        Fact("it grows with each acknowledged push until", f"{PUSH_WINDOW:,}", _PUSH),
        Fact("from there by", f"{LINEAR_GROWTH} a second", '**assumed**; Google: "linearly"'),
        Fact(
            f"it is back at {PUSH_WINDOW:,} if pushes take more than",
            f"{LONGEST_LATENCY:g} s, or under {FEWEST_ACKNOWLEDGED:.0%} succeed",
            _PUSH,
        ),
        Fact("a failure", "halves it", '**assumed**; Google: "decreases"'),
        Fact("push backoff", f"{SHORTEST_BACKOFF * 1e3:g} ms to {LONGEST_BACKOFF:g} s", _PUSH),
        Fact(
            "push quota of small / medium / large regions",
            f"{_megabytes(PUSH_QUOTAS)} MB/s",
            "[Pub/Sub](https://docs.cloud.google.com/pubsub/quotas)",
        ),
        Fact(
            "publish quota of the same",
            f"{_megabytes(PUBLISH_QUOTAS)} MB/s",
            "[Pub/Sub](https://docs.cloud.google.com/pubsub/quotas)",
        ),
        Fact("a message counts as at least", f"{SMALLEST_MESSAGE:,} bytes", "Pub/Sub, the same"),
        Fact("from publishing to pushing", f"{PUBSUB_LATENCY:g} s", "Pub/Sub"),
        Fact(
            "requests a second that an instance gets",
            f"{REQUESTS_AN_INSTANCE}, by HTTP/1",
            "[Cloud Run](https://docs.cloud.google.com/run/quotas)",
        ),
        Fact("what the autoscaler aims at", f"{TARGET:.0%} of processor and concurrency", _SCALING),
        Fact(
            "a request that finds no place waits",
            f"{LONGEST_WAIT:g} s or {WAIT_IN_STARTS:g} starts, then 429",
            _SCALING,
        ),
        Fact(
            "an instance starts in",
            f"{START_SECONDS:g} s, {STARTS_A_SECOND:g} of them a second",
            "**assumed**",
        ),
        Fact(
            "vCPU second, GiB second, million requests",
            f"\\${CPU_SECOND:.6f}, \\${MEMORY_SECOND:.7f}, \\${REQUEST * 1e6:.2f}",
            f"{_RUN_PRICES}, request-based",
        ),
        Fact(
            "the same",
            f"\\${ALWAYS_CPU_SECOND:.6f}, \\${ALWAYS_MEMORY_SECOND:.7f}, none",
            f"{_RUN_PRICES}, instance-based",
        ),
        Fact(
            "TiB published or pushed",
            f"\\${PUBSUB_BYTE * 2**40:g}",
            "[Pub/Sub](https://cloud.google.com/pubsub/pricing)",
        ),
        Fact(
            "GiB of log",
            f"\\${LOG_BYTE * 2**30:.2f}; {LOG_BYTES:,} bytes a task **assumed**",
            "[Cloud Logging](https://cloud.google.com/stackdriver/pricing)",
        ),
        Fact(
            "processor for a push, the task's own not counted",
            f"{PUSH_CPU_SECONDS * 1e3:.2f} ms",
            "measured: [`PUSHES_A_SECOND`](../how-to/deploy.md#how-much-it-takes)",
        ),
    )
