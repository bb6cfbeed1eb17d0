"""What is measured: figures with their spread, and curves."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of a table: a value a round."""

    name: str
    unit: str  # "times", "a second", "s", "ms", "MB", or what is counted
    values: Sequence[float]
    at_least: float | None = None  # what is wanted of the median
    at_most: float | None = None

    def __post_init__(self) -> None:
        if not self.values or not all(map(math.isfinite, self.values)):
            raise ValueError(f"{self.name}: no figure in {list(self.values)}")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_wanted(self) -> bool:
        return self.at_least is not None or self.at_most is not None

    @property
    def is_reached(self) -> bool:
        low, high = self.at_least, self.at_most
        return (low is None or self.median >= low) and (high is None or self.median <= high)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points of one line of a plot; y is the median of the rounds."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Curves over the same axes."""

    title: str
    x: str  # label with its unit
    y: str
    curves: Sequence[Curve]
    is_log_x: bool = False
    is_log_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one measure found."""

    figures: Sequence[Figure]
    plots: Sequence[Plot] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """With four digits of each number: more is noise."""
        return _rounded(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Of what as_json() made, whatever else is with it."""
        plots = [
            Plot(**plot | {"curves": [Curve(**curve) for curve in plot["curves"]]})
            for plot in data["plots"]
        ]
        return cls(figures=[Figure(**figure) for figure in data["figures"]], plots=plots)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to measure."""

    rounds: int = 5
    scale: float = 1.0  # of the counts: tests measure little

    def count(self, whole: int, least: int = 40) -> int:
        """How many of something."""
        return max(least, round(whole * self.scale))


def alternate[T](
    plan: Plan, subjects: Mapping[str, Callable[[], T]], warm_up: bool = True
) -> dict[str, list[T]]:
    """What each subject gave in each round: one after the other, every round in another order."""
    if warm_up:
        for run in subjects.values():
            run()
    names = list(subjects)
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(plan.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(subjects[name]())
    return found


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Round by round, so that a noisy moment hits both."""
    return [value / other for value, other in zip(values, others, strict=True)]


def _rounded(value: Any) -> Any:
    match value:
        case dict():
            return {name: _rounded(each) for name, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case float():
            return float(f"{value:.4g}")
    return value
