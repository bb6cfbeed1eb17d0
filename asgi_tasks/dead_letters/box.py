"""DeadLetterBox: the dead-letter subscription of a site, read under leases."""

import contextlib
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, Self

from ..exceptions import ProvisioningError
from ..routes import RouteTable
from .calls import Calls
from .letters import DeadLetter, letter_from

LEASE: Final = 60  # seconds; so long others do not see what a killed reader has held
RENEWALS: Final = 3  # while a lease lasts
PULLS: Final = 4  # at once: each may reach other servers of Pub/Sub, with other messages
PULLED_BYTES: Final = 16_000_000  # a pull asks for about as much, and for
MOST_PULLED: Final = 1000  # messages at the most
FIRST_PULLED: Final = 4  # while nobody knows how large they are
EMPTY_ROUNDS: Final = 2  # of pulls that gave nothing, one after the other: then it is empty


class DeadLetterBox:
    """What is read here is leased, and given back at the end unless it was acknowledged.

    Use as a context manager, also on Ctrl-C. All of it raises CallFailed.
    """

    def __init__(self, table: RouteTable, *, lease: int = LEASE) -> None:
        """``lease`` is in seconds; it is extended until the end of the block."""
        self.subscription = table.dead_letter_subscription
        self.is_cut = False  # the last reading ended at its limit
        # Why nothing was given back at the end; it does not hide what came of the block.
        self.kept: ProvisioningError | None = None
        self._options = table.options
        self._lease = lease
        self._next_pulled = FIRST_PULLED
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        self.calls = Calls(self._options, self.subscription)
        self._leases = _Leases(self.calls, self._lease)
        self._pulling = ThreadPoolExecutor(PULLS, thread_name_prefix="dead_letters-pull")
        self._renewing = threading.Thread(target=self._renew, name="dead_letters-renew")
        self._renewing.daemon = True
        self._renewing.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        # What is being pulled has to come in before it can be given back.
        self._pulling.shutdown()
        self._stopped.set()
        self._renewing.join()
        try:
            self._leases.give_back()
        except ProvisioningError as error:
            self.kept = error
        self.calls.close()

    def letters(self, limit: int) -> Iterator[DeadLetter]:
        """Every dead letter once, until pulls give nothing more or ``limit`` have been seen.

        Only those of one round of pulls are in memory: about PULLS * PULLED_BYTES. A letter that
        another reader holds is not seen.
        """
        seen, empty, self.is_cut = 0, 0, False
        while empty < EMPTY_ROUNDS:
            found = self._round()
            empty = 0 if found else empty + 1
            found.sort(key=_age, reverse=True)
            while found:  # popped, so that each may be forgotten once it is used
                if seen == limit:
                    self.is_cut = True
                    return
                seen += 1
                yield found.pop()

    def acknowledge(self, message_ids: Collection[str]) -> None:
        """Remove these for good."""
        self._leases.acknowledge(message_ids)

    def _round(self) -> list[DeadLetter]:
        take, limit = self._leases.take, self._next_pulled
        pulls = [self._pulling.submit(take, limit) for _ in range(PULLS)]
        found = [letter for pull in pulls for letter in pull.result()]
        if found:
            size = sum(letter.size for letter in found) // len(found)
            self._next_pulled = max(1, min(MOST_PULLED, PULLED_BYTES // size))
        return found

    def _renew(self) -> None:
        while not self._stopped.wait(self._lease / RENEWALS):
            # A call that fails is made again next time, and those that matter tell of it.
            with contextlib.suppress(ProvisioningError):
                self._leases.extend()


def _age(letter: DeadLetter) -> tuple[datetime, int, str]:
    # Ids are numbers, which grow within a request: all of it has one time.
    return letter.died_at, len(letter.message_id), letter.message_id


class _Leases:
    """What this process holds, by message id."""

    def __init__(self, calls: Calls, seconds: int) -> None:
        self._calls = calls
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: dict[str, str] = {}  # message id -> ack id
        self._settled: set[str] = set()  # acknowledged; Pub/Sub may deliver it once more

    def take(self, limit: int) -> list[DeadLetter]:
        """Pull: the letters that were not held before."""
        received = self._calls.pull(limit)
        fresh, again = [], []
        with self._lock:
            for one in received:
                message_id = one.message.message_id
                if message_id in self._settled:
                    again.append(one.ack_id)
                    continue
                if message_id not in self._held:
                    fresh.append(one)
                self._held[message_id] = one.ack_id
        if received:
            self._calls.lease([one.ack_id for one in received], self._seconds)
        if again:
            self._calls.acknowledge(again)
        return [letter_from(one.message) for one in fresh]

    def extend(self) -> None:
        self._calls.lease(self._ack_ids(), self._seconds)

    def acknowledge(self, message_ids: Collection[str]) -> None:
        with self._lock:
            ack_ids = [self._held[message_id] for message_id in message_ids]
        self._calls.acknowledge(ack_ids)
        with self._lock:
            self._settled.update(message_ids)
            for message_id in message_ids:
                self._held.pop(message_id, None)

    def give_back(self) -> None:
        self._calls.lease(self._ack_ids(), 0)
        with self._lock:
            self._held.clear()

    def _ack_ids(self) -> list[str]:
        with self._lock:
            return list(self._held.values())
