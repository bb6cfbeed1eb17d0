"""What the commands' arguments may be."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Final

LONGEST: Final = 86_400  # seconds that anything here may wait


def number_from[N: (int, float)](
    kind: Callable[[str], N], low: float, high: float = math.inf
) -> Callable[[str], N]:
    """For argparse: a finite number from ``low`` up, to ``high``."""

    def parse(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high or math.isinf(value):
            bounds = f"from {low:g} up" if math.isinf(high) else f"from {low:g} to {high:,g}"
            raise ArgumentTypeError(f"{text} is not a number {bounds}")
        return value

    return parse
