"""What only servers that die can show: an acknowledgement that came too early."""

from tests.mutants import Mutant

KILLS = "tests/reliability/test_kills.py"

MUTANTS = [
    Mutant(
        guard="a push is answered after its task has run",
        file="asgi_tasks/asgi.py",
        old="""            answer = await connection.until_gone(
                dispatch.receive(backend, scope["method"], connection.headers, connection.read)
            )
""",
        new="""            self.left = asyncio.ensure_future(
                dispatch.receive(backend, scope["method"], connection.headers, connection.read)
            )
            answer = dispatch.Answer(204, {})
""",
        tests=KILLS,
    ),
    Mutant(
        guard="a task that failed is not acknowledged",
        file="asgi_tasks/deliveries.py",
        old='    FAILED = ("failed", logging.ERROR, 500)',
        new='    FAILED = ("failed", logging.ERROR, 204)',
        tests=KILLS,
    ),
]
