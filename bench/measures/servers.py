"""The same site under three servers: ours, Daphne as it comes, and Uvicorn."""

from bench.figures import Figure, Measured, alternate, ratios
from bench.load import loading
from bench.measures.pushes import nothing, push
from bench.servers import PUSH_PATH, daphne, ours, serving_sites, uvicorn

# Daphne's own backlog of 50 drops connections of which a thousand come at once.
ROOMY = "Daphne, backlog 2,048"
ROOMY_DAPHNE = (
    *("-m", "daphne", "-v", "0", "-e", "tcp:port={port}:interface=127.0.0.1:backlog=2048"),
    "bench.site.asgi:application",
)
PUSHES = 1_000
WAITS = 1_000
LONE = 100
SECONDS = 1  # that each of the waits takes


def side_by_side(plan):
    """servers: the same site under ours, stock Daphne and Uvicorn."""
    with loading() as load, serving_sites() as site:
        our, uvicorns = site.serve(*ours()), site.serve(*uvicorn())
        served = {"our server": our, "stock Daphne": site.serve(*daphne()), "Uvicorn": uvicorns}
        roomy = {"our server": our, ROOMY: site.serve(*ROOMY_DAPHNE), "Uvicorn": uvicorns}
        pushed = alternate(plan, pushing(load, served, plan.count(PUSHES), nothing()))
        lone = alternate(
            plan, pushing(load, served, plan.count(LONE), nothing(), connections=1), warm_up=False
        )
        pushing(load, roomy, 32, nothing())[ROOMY]()  # it imports
        waits, wait = plan.count(WAITS), {"task": "wait", "args": [SECONDS]}
        waited = alternate(
            plan, pushing(load, roomy, waits, wait, connections=waits), warm_up=False
        )
    return Measured(
        figures=[
            *rates(pushed),
            *(
                Figure(
                    name=f"{name}: a lone push, median",
                    unit="ms",
                    values=[1000 * each.median for each in rounds],
                )
                for name, rounds in lone.items()
            ),
            *(
                Figure(
                    name=f"{name}: {waits:,} pushes at once that wait {SECONDS} s",
                    unit="s",
                    values=[each.seconds for each in rounds],
                )
                for name, rounds in waited.items()
            ),
        ]
    )


def pushing(load, served, count, arguments, *, connections=32):
    """What pushes so much to each of the servers."""

    def subject(server, headers):
        bodies = ("bench.bodies.ours", count, arguments)
        options = {"headers": headers, "connections": connections}
        return lambda: push(server, load, PUSH_PATH, *bodies, **options)

    return {name: subject(*one) for name, one in served.items()}


def rates(pushed):
    """Pushes a second, and ours against the others'."""
    a_second = {name: [each.a_second for each in rounds] for name, rounds in pushed.items()}
    our, *others = a_second
    for name, values in a_second.items():
        yield Figure(name=f"{name}: pushes, 32 connections", unit="a second", values=values)
    for name in others:
        values = ratios(a_second[our], a_second[name])
        yield Figure(name=f"{our} against {name}: pushes", unit="times", values=values)
