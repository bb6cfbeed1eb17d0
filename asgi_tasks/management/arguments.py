"""What the commands' arguments may be."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable


def number_from[N: (int, float)](kind: Callable[[str], N], low: float) -> Callable[[str], N]:
    """For argparse: a finite number from ``low`` up."""

    def parse(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value < math.inf:
            raise ArgumentTypeError(f"{text} is not a number from {low:g} up")
        return value

    return parse
