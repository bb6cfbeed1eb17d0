"""Which dead letters are meant: pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from .examining import Examined


@dataclass(slots=True, kw_only=True)
class Selection:
    """By id, or by task and age; all of them unless something is given."""

    ids: frozenset[str] = frozenset()  # of messages or tasks
    tasks: frozenset[str] = frozenset()  # names: those of one route and its aliases
    died_before: datetime | None = None  # aware
    died_after: datetime | None = None
    _found: set[str] = field(default_factory=set)
    _message_ids: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether anything was given."""
        return bool(self.ids or self.tasks or self.died_before or self.died_after)

    def matches(self, one: Examined) -> bool:
        """Whether this one is meant."""
        if self.ids:
            return self._has_id(one)
        died_at = one.letter.died_at
        return (
            (not self.tasks or one.task_name in self.tasks)
            and (self.died_before is None or died_at <= self.died_before)
            and (self.died_after is None or died_at >= self.died_after)
        )

    @property
    def missing(self) -> Collection[str]:
        """The ids that nothing seen so far bears."""
        return sorted(self.ids - self._found)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more can match: a message has its id alone, a task may have several."""
        return bool(self.ids) and self.ids == self._message_ids

    def _has_id(self, one: Examined) -> bool:
        found = self.ids & {one.letter.message_id, one.task_id}
        self._found |= found
        self._message_ids |= found & {one.letter.message_id}
        return bool(found)
