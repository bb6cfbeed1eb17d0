"""How the commands print."""

import math
from collections.abc import Iterator, Sequence

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """The two largest units that matter: '3 h 10 min'."""
    if math.isinf(seconds):
        return "never"
    if seconds < 60:
        return f"{seconds:.3g} s"
    left, parts = round(seconds), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def number(value: float) -> str:
    """Whole where it is large: '12,500' and '0.4'."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
