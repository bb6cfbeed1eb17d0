"""The tables of docs/benchmarks.md; its words are written by hand."""

import textwrap

from asgi_tasks.management.tables import number
from bench import plots
from bench.figures import Measured
from bench.results import Unusable

HEAD = ("figure", "unit", "median", "least", "most", "wanted")
SUMMARY_HEAD = ("row", "figure", "median", "least to most", "wanted")
WIDTH = 120  # characters of a line


def rewrite(text, document, order):
    """The page with what the document holds, for every row there is. Raise Unusable."""
    parts = {"machine": machine(document), "summary": summary(document)}
    for name in order:
        row = document["rows"].get(name)
        parts[f"row {name}"] = section(name, row) if row else markdown(HEAD, [])
    for name, part in parts.items():
        text = _replace(text, name, part)
    return text


def machine(document):
    """The machine and the versions, a sentence each."""
    found, versions = document["machine"], document["versions"]
    processors = f"{found['processors']} processors ({found['processor']})"
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return textwrap.fill(f"{processors}, {found['memory_gb']} GB of memory. {named}.", WIDTH)


def summary(document):
    """Every figure of which something is wanted."""
    rows = []
    for name, row in document["rows"].items():
        for figure in filter(lambda figure: figure.is_wanted, Measured.from_json(row).figures):
            title, unit, median, least, most, wanted = cells(figure)
            rows.append((name, title, f"{median} {unit}", f"{least} to {most}", wanted))
    return markdown(SUMMARY_HEAD, rows)


def section(name, row):
    """The table of a row, and its plot if it has one."""
    measured = Measured.from_json(row)
    parts = [
        markdown(HEAD, [cells(figure) for figure in measured.figures]),
        f"Measured on {row['measured_on']}, {row['rounds']} rounds.",
    ]
    if plots.panels(measured):
        parts.append(f"![Row {name}, drawn](images/{plots.file_name(name)})")
    return "\n\n".join(parts)


def cells(figure, not_reached="**not reached**"):
    """One row of a table, by HEAD."""
    values = (figure.median, min(figure.values), max(figure.values))
    return (figure.name, figure.unit, *map(number, values), wanted(figure, not_reached))


def wanted(figure, not_reached):
    bounds = {"at least": figure.at_least, "at most": figure.at_most}
    words = [f"{name} {number(bound)}" for name, bound in bounds.items() if bound is not None]
    if not words:
        return ""
    return f"{' and '.join(words)}: {'reached' if figure.is_reached else not_reached}"


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _replace(text, name, part):
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too or begin in rest:
        raise Unusable(f"the page needs one place for {name}: {begin}, then {end}")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"
