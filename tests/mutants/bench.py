"""The measurements: what may be written on the page, and what is said of it."""

from tests.mutants import Mutant

COMMAND, PAGE = "tests/bench/test_command.py", "tests/bench/test_page.py"

MUTANTS = [
    Mutant(
        guard="the page has five rounds or more",
        file="bench/__main__.py",
        old="if options.rounds < LEAST_ROUNDS:",
        new="if options.rounds < 1:",
        tests=f"{COMMAND} -k wrong_option",
    ),
    Mutant(
        guard="what is measured small never comes to the page",
        file="bench/__main__.py",
        old="if options.no_page or options.scale != 1:",
        new="if options.no_page:",
        tests=f"{COMMAND} -k not_meant",
    ),
    Mutant(
        guard="a row does not stand beside those of another machine",
        file="bench/results.py",
        old='for part, value in here().items() if part != "rows")',
        new='for part, value in here().items() if part == "machine")',
        tests=f"{COMMAND} -k another_machine",
    ),
    Mutant(
        guard="only what was measured is replaced",
        file="bench/results.py",
        old='rows = document["rows"] | {number: row}',
        new="rows = {number: row}",
        tests=f"{COMMAND} -k named",
    ),
    Mutant(
        guard="a figure over what is wanted at most is not reached",
        file="bench/figures.py",
        old="self.median <= high",
        new="self.median > 0",
        tests=f"{PAGE} -k median_decides",
    ),
    Mutant(
        guard="the plots are of the figures in the file",
        file="bench/plots.py",
        old="text = json.dumps(measured.as_json(), sort_keys=True)",
        new='text = "always the same"',
        tests=f"{PAGE} -k plot_is_the_same",
    ),
]
