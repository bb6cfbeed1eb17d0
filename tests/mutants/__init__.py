"""Each guard taken out on purpose, and the tests that have to notice.

A module of this package holds a list MUTANTS. `make mutants` carries them out on a copy.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A text that stands once in a file, what takes its place, and the tests that go red."""

    guard: str  # what is lost, in words
    file: str
    old: str
    new: str
    tests: str  # arguments of pytest
