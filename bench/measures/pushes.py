"""Rows 1 to 3: pushes a second, beside what a server does at the least and what peers do."""

from bench.figures import Figure, Measured, alternate, ratios
from bench.load import loading
from bench.servers import PEER_PATH, PUSH_PATH, daphne, gunicorn, ours, serving_sites

PLAIN = "bench.plain_app:app"
COUNT = 4_000


def beside_plain_asgi(plan):
    """1: against the least an ASGI app can do."""
    with loading() as load, serving_sites() as site:
        found = alternate(
            plan,
            {
                "ours": ours_of(plan, load, site),
                "json": ours_of(plan, load, site, BENCH_LOG="json"),
                "plain": pushes_to(plan, load, site.serve(*daphne(PLAIN))),
                "plain_ours": pushes_to(plan, load, site.serve(*ours(PLAIN))),
            },
        )
    return Measured(
        figures=[
            rate("our pushes", found["ours"]),
            rate("our pushes, their lines as JSON for Cloud Logging", found["json"]),
            rate("plain ASGI app that answers 204, stock Daphne", found["plain"]),
            rate("the same app, our server", found["plain_ours"]),
            against("the plain app under stock Daphne", found["ours"], found["plain"], 0.85),
            against("the plain app under our server", found["ours"], found["plain_ours"], 0.65),
        ]
    )


def beside_django_view(plan):
    """2: against an empty async view."""
    with loading() as load, serving_sites() as site:
        view, headers = site.serve(*daphne())
        count = plan.count(COUNT // 4)
        found = alternate(
            plan,
            {
                "ours": ours_of(plan, load, site),
                "view": lambda: push(
                    view, load, "/empty/", "bench.bodies.ours", count, nothing(), headers=headers
                ),
            },
        )
    return Measured(
        figures=[
            rate("our pushes", found["ours"]),
            rate("empty async Django view, stock Daphne", found["view"]),
            against("the view", found["ours"], found["view"], 4),
        ]
    )


def beside_a_peer(plan):
    """3: against django-tasks-pubsub, which authenticates nothing."""
    peer = {"DJANGO_SETTINGS_MODULE": "bench.peer.settings"}
    with loading() as load, serving_sites() as site:
        asynchronous = site.serve_other(*daphne("bench.peer.asgi:application"), **peer)
        threaded = site.serve_other(*gunicorn(), **peer)
        count = plan.count(COUNT // 4)
        found = alternate(
            plan,
            {
                "ours": ours_of(plan, load, site),
                "daphne": lambda: push(
                    asynchronous, load, PEER_PATH, "bench.bodies.pubsub", count, nothing()
                ),
                "gunicorn": lambda: push(
                    threaded, load, PEER_PATH, "bench.bodies.pubsub", count, nothing()
                ),
            },
        )
    threads = "django-tasks-pubsub, gunicorn 2 x 20 threads"
    return Measured(
        figures=[
            rate("our pushes", found["ours"]),
            rate("django-tasks-pubsub, Daphne", found["daphne"]),
            rate(threads, found["gunicorn"]),
            against("it under Daphne", found["ours"], found["daphne"], 5),
            rate("our pushes", found["ours"], "a CPU second"),
            rate(threads, found["gunicorn"], "a CPU second"),
            against(
                "it under gunicorn, by CPU second",
                *(found["ours"], found["gunicorn"], 1.3, "a CPU second"),
            ),
        ]
    )


def rate(name, runs, unit="a second"):
    return Figure(name=name, unit=unit, values=rates(runs, unit))


def against(name, runs, others, at_least, unit="a second"):
    values = ratios(rates(runs, unit), rates(others, unit))
    return Figure(name=f"ours against {name}", unit="times", values=values, at_least=at_least)


def rates(runs, unit):
    return [getattr(run, unit.lower().replace(" ", "_")) for run in runs]


class Pushed:
    """How a number of pushes went."""

    def __init__(self, count, answer, cpu_seconds):
        self.seconds = answer["seconds"]
        self.a_second = count / answer["seconds"]
        self.a_cpu_second = count / max(cpu_seconds, 0.001)
        self.median = answer["median"]
        self.longest = answer["longest"]


def nothing():
    return {"task": "nothing"}


def ours_of(plan, load, site, **variables):
    """Pushes of a task that does nothing, to our server."""
    return pushes_to(plan, load, site.serve(*ours(), **variables))


def pushes_to(plan, load, served):
    """The same, to whatever is served."""
    server, headers = served
    count = plan.count(COUNT)
    return lambda: push(
        server, load, PUSH_PATH, "bench.bodies.ours", count, nothing(), headers=headers
    )


def push(server, load, path, make, count, arguments, **options):
    """Send so many pushes, all of which have to be acknowledged. The options are Load.send's."""
    used = server.cpu_seconds
    answer = load.send(server.port, path, make, count, **options, **arguments)
    assert answer["statuses"] == {"204": count}, answer["statuses"]
    return Pushed(count, answer, server.cpu_seconds - used)
