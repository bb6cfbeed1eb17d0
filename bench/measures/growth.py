"""Row 12: what a push costs as there is more of everything: routes, arguments, tasks in flight."""

import statistics
import timeit
import uuid
from datetime import UTC, datetime

from bench import bodies
from bench.figures import Curve, Figure, Measured, Plot, alternate, ratios
from bench.load import loading
from bench.measures.pushes import push
from bench.servers import PUSH_PATH, ours, serving_sites

ROUTES = (1, 100, 1_000)
PUSHES = 1_000  # to each number of routes
LOOK_UPS = 100_000
BYTES = {100: 100, 10_000: 100, 1_000_000: 2, 8_990_000: 1}  # and how many pushes of each
IN_FLIGHT = (1, 10, 100, 1_000, 2_000)
SECONDS = 0.5  # that each of them waits


def of_work(plan):
    """12: what a push costs as routes, arguments and tasks in flight grow."""
    parts = [of_routes(plan), of_look_up(plan), of_arguments(plan), of_tasks_in_flight(plan)]
    return Measured(
        figures=[figure for part in parts for figure in part.figures],
        plots=[plot for part in parts for plot in part.plots],
    )


def of_routes(plan):
    """CPU time of a push to a site with so many tasks, each of them in its turn."""
    count = plan.count(PUSHES)
    with loading() as load, serving_sites() as site:

        def pushing_to(routes):
            server, headers = site.serve(
                *ours(), BENCH_ROUTES="bench.site.many", BENCH_COUNT=routes
            )
            arguments = (PUSH_PATH, "bench.bodies.of_many", count, {"routes": routes})
            return lambda: 1e6 / push(server, load, *arguments, headers=headers).a_cpu_second

        found = alternate(plan, {routes: pushing_to(routes) for routes in ROUTES})
    least, most = ROUTES[0], ROUTES[-1]
    return Measured(
        figures=[
            Figure(
                name=f"CPU time of a push, {most:,} routes against {least}",
                unit="times",
                values=ratios(found[most], found[least]),
            )
        ],
        plots=[
            Plot(
                title="A push, by the routes of the site",
                x="routes",
                y="CPU time of a push (µs)",
                curves=[curve("our server", found)],
                is_log_x=True,
            )
        ],
    )


def of_look_up(plan):
    """The route of a message, and of a task about to be enqueued."""
    tables = {routes: make_table(routes) for routes in ROUTES}
    calls = plan.count(LOOK_UPS, ROUTES[-1])
    by_name = alternate(
        plan, {n: looking_up(table.resolve, names(table), calls) for n, table in tables.items()}
    )
    by_task = alternate(
        plan, {n: looking_up(table.route_for, tasks(table), calls) for n, table in tables.items()}
    )
    least, most = ROUTES[0], ROUTES[-1]
    return Measured(
        figures=[
            Figure(
                name=f"look-up of a message's route, {most:,} routes against {least}",
                unit="times",
                values=ratios(by_name[most], by_name[least]),
            ),
            Figure(
                name=f"look-up of a task's route, {most:,} routes against {least}",
                unit="times",
                values=ratios(by_task[most], by_task[least]),
            ),
        ],
        plots=[
            Plot(
                title="Look-up of a route",
                x="routes",
                y="time of a look-up (ns)",
                curves=[
                    curve("of a message, by its name", by_name),
                    curve("of a task about to be enqueued", by_task),
                ],
                is_log_x=True,
            )
        ],
    )


def make_table(routes):
    bodies.have_settings()
    from asgi_tasks.conf import BackendOptions
    from asgi_tasks.routes import RouteTable
    from bench.site.many import make_routes

    options = BackendOptions(
        project_id=bodies.PROJECT,
        routes="bench.site.many",
        service_url="http://127.0.0.1:8000",
        push_service_account="pusher@tests.iam.gserviceaccount.com",
    )
    return RouteTable(make_routes(routes), options)


def names(table):
    return [route.name for route in table]


def tasks(table):
    return [route.task for route in table]


def looking_up(look_up, keys, calls):
    """Nanoseconds of a look-up, of all that the table has in turn."""
    keys = (keys * (ROUTES[-1] // len(keys)))[: ROUTES[-1]]  # of one length: the loop costs alike

    def look_all_up():
        for key in keys:
            look_up(key)

    rounds = calls // len(keys)
    return lambda: 1e9 * timeit.timeit(look_all_up, number=rounds) / (rounds * len(keys))


def of_arguments(plan):
    """A lone push, and the encoding of a task, by the bytes of its arguments."""
    counts = {plan.count(size, 100): plan.count(count, 1) for size, count in BYTES.items()}
    cases = [(shape, size) for shape in bodies.ARGUMENTS for size in counts]
    with loading() as load, serving_sites() as site:
        server, headers = site.serve(*ours())

        def pushing(shape, size):
            count = counts[size]
            arguments = ("bench.bodies.sized", count, {"shape": shape, "size": size})
            options = {"headers": headers, "connections": 1}
            pushed = push(server, load, PUSH_PATH, *arguments, **options)
            return 1000 * pushed.seconds / count

        pushing(*cases[0])  # it imports
        pushed = alternate(
            plan, {case: lambda case=case: pushing(*case) for case in cases}, warm_up=False
        )
    encoded = alternate(
        plan,
        {case: lambda case=case: encode(*case, counts[case[1]]) for case in cases},
        warm_up=False,
    )
    largest = max(counts)
    return Measured(
        figures=[
            Figure(
                name=f"{what} with {largest / 1e6:.3g} MB of {shape}",
                unit="MB a second",
                values=[largest / 1000 / milliseconds for milliseconds in found[shape, largest]],
            )
            for what, found in (("a push", pushed), ("encoding a task", encoded))
            for shape in bodies.ARGUMENTS
        ],
        plots=[
            Plot(
                title="A push, and the encoding of a task, by the size of the arguments",
                x="arguments (bytes)",
                y="time (ms)",
                curves=[
                    curve(f"{what}, {shape}", {size: found[shape, size] for size in counts})
                    for what, found in (("a push", pushed), ("encoding", encoded))
                    for shape in bodies.ARGUMENTS
                ],
                is_log_x=True,
            )
        ],
    )


def encode(shape, size, count):
    """Milliseconds of what enqueue does to make a message of its arguments."""
    from asgi_tasks.messages import TaskMessage

    message = TaskMessage(
        task_id=str(uuid.uuid4()),
        task_name="take",
        args=[bodies.ARGUMENTS[shape](size)],
        kwargs={},
        enqueued_at=datetime.now(UTC),
    )
    return 1000 * timeit.timeit(message.encode, number=count) / count


def of_tasks_in_flight(plan):
    """Coroutines that wait, all at once; a process for each number of them."""
    with loading() as load, serving_sites() as site:
        levels = [plan.count(number, 1) for number in IN_FLIGHT]
        flights = {level: Flight(load, *site.serve(*ours()), level) for level in levels}
        alternate(plan, {level: flights[level].fly for level in levels}, warm_up=False)
    most = flights[levels[-1]]
    over = {level: flight.seconds_over for level, flight in flights.items()}
    memory = {level: flight.megabytes_more for level, flight in flights.items()}
    return Measured(
        figures=[
            Figure(
                name=f"{levels[-1]:,} tasks at once that wait {SECONDS} s: all answered",
                unit="s",
                values=[SECONDS + seconds for seconds in most.seconds_over],
            ),
            Figure(name="memory for them", unit="MB", values=most.megabytes_more),
            Figure(name="threads of the process", unit="threads", values=most.threads),
        ],
        plots=[
            Plot(
                title="Tasks in flight: time",
                x="tasks at once",
                y=f"until all are answered, beyond their own {SECONDS} s (s)",
                curves=[curve("our server", over)],
                is_log_x=True,
            ),
            Plot(
                title="Tasks in flight: memory",
                x="tasks at once",
                y="resident memory more than with one (MB)",
                curves=[curve("our server", memory)],
                is_log_x=True,
            ),
        ],
    )


class Flight:
    """A server with so many tasks in flight, round after round."""

    def __init__(self, load, server, headers, number):
        self.seconds_over = []
        self.megabytes_more = []  # at the peak
        self.threads = []
        self._load = load
        self._server = server
        self._headers = headers
        self._number = number
        self._push(1, 0)  # it imports
        self._megabytes = server.peak_megabytes

    def fly(self):
        pushed = self._push(self._number, SECONDS)
        self.seconds_over.append(pushed.seconds - SECONDS)
        self.megabytes_more.append(self._server.peak_megabytes - self._megabytes)
        self.threads.append(self._server.threads)

    def _push(self, count, seconds):
        return push(
            *(self._server, self._load, PUSH_PATH, "bench.bodies.ours", count),
            {"task": "wait", "args": [seconds]},
            headers=self._headers,
            connections=count,
        )


def curve(name, found):
    """The median of the rounds at each size."""
    return Curve(name=name, points=[(x, statistics.median(ys)) for x, ys in found.items()])
