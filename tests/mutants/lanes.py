from tests.mutants import Mutant

MUTANTS = [
    Mutant(
        guard="a lane nobody uses closes what Django would close",
        file="asgi_tasks/lanes.py",
        old="            _close_connections()\n            lane.is_tidy = True",
        new="            lane.is_tidy = True",
        tests="tests/unit/test_lanes.py",
    ),
]
