"""Replay: back to the tasks' own topics, and only then out of the dead letters."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ..exceptions import ProvisioningError
from ..messages import make_attributes
from .box import DeadLetterBox
from .examining import Examined
from .letters import SOURCE, DeadLetter

REPLAYED_FROM: Final = "replayed_from"  # the attribute: the id of the dead letter
WORKERS: Final = 4
# Between its confirmation and its acknowledgement are at most WORKERS requests of so many
# messages: what a kill at that moment lets run twice.
BATCH_MESSAGES: Final = 100
BATCH_BYTES: Final = 9_000_000  # Pub/Sub takes 10 MB a request
HELD_BYTES: Final = 64_000_000  # of letters in memory, before they are published


class Refusal(NamedTuple):
    """A dead letter that is left where it is."""

    message_id: str
    task_name: str
    reason: str


class Outgoing(NamedTuple):
    """What is to be published: its decoded arguments would take more memory than the data."""

    letter: DeadLetter
    topic: str
    task_id: str
    attributes: dict[str, str]

    @property
    def message(self) -> dict[str, Any]:
        """Google's PubsubMessage."""
        return {
            "data": self.letter.data,
            "attributes": self.attributes,
            "ordering_key": self.letter.ordering_key,
        }


@dataclass(slots=True)
class Tally:
    """What became of them."""

    replayed: int = 0  # published and acknowledged
    copies: int = 0  # of the replayed, those whose task id was replayed before
    unacknowledged: int = 0  # published, but still a dead letter
    unconfirmed: int = 0  # perhaps published, and still a dead letter
    untried: int = 0  # behind a failure
    refused: list[Refusal] = field(default_factory=list)
    failures: list[ProvisioningError] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether all of them were replayed."""
        return not (self.refused or self.failures)


class Replay:
    """Publishes what was selected, a few requests at a time."""

    def __init__(
        self,
        box: DeadLetterBox,
        keys: Sequence[str],
        *,
        rate: float | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """``rate`` is messages a second; ``report`` is told how many of how many are through."""
        self.tally = Tally()
        self._box = box
        self._keys = keys
        self._pace = Pace(rate)
        self._report = report
        self._lock = threading.Lock()
        self._task_ids: set[str] = set()
        self._failed_topics: set[str] = set()
        self._done = self._total = 0

    def run(self, letters: Iterable[Examined], *, resign: str = "") -> None:
        """Replay all that nothing is to be said against.

        ``resign`` is the message id of the one dead letter that somebody vouches for: it is signed
        anew. What is refused, or fails, is in the tally, and stays a dead letter. Raise CallFailed
        if the letters cannot be read.
        """
        for held in within_memory(self._accepted(letters, resign)):
            self._total += len(held)
            self._report(self._done, self._total)
            self._send_all(held)

    def _accepted(self, letters: Iterable[Examined], resign: str) -> Iterator[Outgoing]:
        for one in letters:
            if reason := refusal(one, resign=resign):
                self.tally.refused.append(Refusal(one.letter.message_id, one.task_name, reason))
            else:
                yield Outgoing(one.letter, one.topic, one.task_id, self._attributes(one, resign))

    def _attributes(self, one: Examined, resign: str) -> dict[str, str]:
        found = {
            name: value
            for name, value in one.letter.attributes.items()
            if not name.startswith(SOURCE)
        }
        if one.message and one.letter.message_id == resign:
            found |= make_attributes(one.message, one.letter.data, self._keys[0])
        return found | {REPLAYED_FROM: one.letter.message_id}

    def _send_all(self, held: list[Outgoing]) -> None:
        sending: set[Future[int]] = set()
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="dead_letters-publish") as pool:
            for batch in batches(held, self._pace.batch):
                self._pace.wait(len(batch))
                sending.add(pool.submit(self._send, batch))
                # Those of one ordering key would overtake each other.
                most = 1 if batch[0].letter.ordering_key else WORKERS
                while len(sending) >= most:
                    sending = self._settle(sending)
            while sending:
                sending = self._settle(sending)

    def _settle(self, sending: set[Future[int]]) -> set[Future[int]]:
        done, left = wait(sending, return_when=FIRST_COMPLETED)
        self._done += sum(future.result() for future in done)
        self._report(self._done, self._total)
        return left

    def _send(self, batch: list[Outgoing]) -> int:
        """Publish, and acknowledge what was confirmed; how many are through either way."""
        topic, size = batch[0].topic, len(batch)
        if topic in self._failed_topics:
            self._count(untried=size)
            return size
        try:
            self._box.calls.publish(topic, [one.message for one in batch])
        except ProvisioningError as error:
            self._fail(topic, error, unconfirmed=0 if _is_refused(error) else size)
            return size
        try:
            self._box.acknowledge([one.letter.message_id for one in batch])
        except ProvisioningError as error:
            self._fail(topic, error, unacknowledged=size)
            return size
        self._count(replayed=size, copies=self._copies(batch))
        return size

    def _fail(self, topic: str, error: ProvisioningError, **counts: int) -> None:
        self._count(**counts)
        with self._lock:
            self._failed_topics.add(topic)
            if str(error) not in map(str, self.tally.failures):
                self.tally.failures.append(error)

    def _count(self, **counts: int) -> None:
        with self._lock:
            for name, number in counts.items():
                setattr(self.tally, name, getattr(self.tally, name) + number)

    def _copies(self, batch: list[Outgoing]) -> int:
        with self._lock:
            before = len(self._task_ids)
            self._task_ids.update(one.task_id for one in batch)
            return len(batch) - (len(self._task_ids) - before)


class Pace:
    """So many messages a second; as fast as it goes without a rate."""

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due = clock()
        # Ten requests a second, so that a rate is not made of bursts.
        self.batch = BATCH_MESSAGES if rate is None else max(1, min(BATCH_MESSAGES, int(rate / 10)))

    def wait(self, messages: int) -> None:
        """Sleep until the next of them may go."""
        if self._rate is None:
            return
        now = self._clock()
        self._due = max(self._due, now)
        if self._due > now:
            self._sleep(self._due - now)
        self._due += messages / self._rate


def refusal(one: Examined, *, resign: str = "") -> str:
    """Why it is not replayed; nothing if it may be. For ``resign`` see Replay.run()."""
    message_id = one.letter.message_id
    if one.refusal or not one.distrust or message_id == resign:
        return one.refusal
    return f"{one.distrust}; see `show {message_id}`, and only if it is yours --resign {message_id}"


def _is_refused(error: ProvisioningError) -> bool:
    """Whether nothing was published for certain."""
    from google.api_core import exceptions as errors

    certain = (errors.Forbidden, errors.NotFound, errors.InvalidArgument, errors.Unauthenticated)
    return isinstance(error.__cause__, certain)


def within_memory(letters: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    held: list[Outgoing] = []
    room = HELD_BYTES
    for one in letters:
        held.append(one)
        room -= one.letter.size
        if room <= 0:
            yield held
            held, room = [], HELD_BYTES
    if held:
        yield held


def batches(letters: Iterable[Outgoing], limit: int) -> Iterator[list[Outgoing]]:
    """Requests: of one topic and ordering key, neither too many nor too large."""
    batches: defaultdict[tuple[str, str], list[Outgoing]] = defaultdict(list)
    sizes: defaultdict[tuple[str, str], int] = defaultdict(int)
    for one in letters:
        key = (one.topic, one.letter.ordering_key)
        if len(batches[key]) == limit or sizes[key] + one.letter.size > BATCH_BYTES:
            if batches[key]:
                yield batches.pop(key)
            sizes[key] = 0
        batches[key].append(one)
        sizes[key] += one.letter.size
    yield from filter(None, batches.values())
