"""A running emulator, as tests see it: what it delivered, and the levers to disturb it."""

from collections.abc import Callable, Iterable
from datetime import datetime

from .errors import EmulatorError
from .records import Delivery, Message, State
from .rest import Rest
from .waiting import Key, Wait, under_way


class Clock:
    """The emulator's time: retries, ack deadlines and retention go by it, its tokens do not."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def now(self) -> datetime:
        """The emulator's time, aware."""
        return datetime.fromisoformat(self._rest.get("/emulator/clock")["now"])

    def advance(self, seconds: float) -> None:
        """Move it forward; what falls due meanwhile happens now."""
        self._rest.post("/emulator/clock", advance=seconds)

    def freeze(self) -> None:
        """Stop it: nothing is retried until it is advanced, or delivered by hand."""
        self._rest.post("/emulator/clock", frozen=True)

    def resume(self) -> None:
        """Let it go on from where it stands."""
        self._rest.post("/emulator/clock", frozen=False)


class Emulator:
    """
    The emulator that listens at a URL, or at a host and port as in PUBSUB_EMULATOR_HOST. All of it
    raises EmulatorError with the emulator's own words. Topics and subscriptions may be
    named in full (projects/P/topics/T) or by their last part.
    """

    def __init__(self, url: str, *, log: Callable[[], str] = str) -> None:
        host = url.removeprefix("http://").rstrip("/")
        if not host or "/" in host:
            raise ValueError(f"{url!r} is not the URL of an emulator: http://127.0.0.1:8085")
        self.url = f"http://{host}"
        self.host = host  # for PUBSUB_EMULATOR_HOST
        self._rest = Rest(host, log)
        self.clock = Clock(self._rest)
        self._reported: set[tuple[Key, int]] = set()  # by number within the message

    def __repr__(self) -> str:
        return f"<Emulator {self.url}>"

    @property
    def certs_url(self) -> str:
        """For the option `certs_url` of PubSubBackend: where its tokens are verified."""
        return f"{self.url}/oauth2/v1/certs"

    # What happened

    def messages(
        self,
        *,
        task: str | None = None,
        task_id: str | None = None,
        subscription: str | None = None,
        topic: str | None = None,
        state: State | None = None,
    ) -> list[Message]:
        """Every message the emulator remembers, one for each subscription, oldest first."""
        return [
            message
            for message in self._rest.messages()
            if task in (None, message.task)
            and task_id in (None, message.task_id)
            and _is_named(message.subscription, subscription)
            and _is_named(message.topic, topic)
            and state in (None, message.state)
        ]

    def deliveries(
        self,
        *,
        task: str | None = None,
        task_id: str | None = None,
        subscription: str | None = None,
        topic: str | None = None,
    ) -> list[Delivery]:
        """Every delivery, those under way too, in the order they began."""
        messages = self.messages(task=task, task_id=task_id, subscription=subscription, topic=topic)
        return _in_order(delivery for message in messages for delivery in message.deliveries)

    # What is to go wrong

    def fail_next(
        self, count: int = 1, *, status: int = 503, subscription: str | None = None
    ) -> None:
        """Count the next pushes as answered with this status, without sending them."""
        self.fault("push.fail", count=count, status=status, subscription=subscription)

    def drop_next(self, count: int = 1, *, subscription: str | None = None) -> None:
        """Lose the next pushes on their way: they come again after their ack deadline."""
        self.fault("push.drop", count=count, subscription=subscription)

    def duplicate_next(self, count: int = 1, *, subscription: str | None = None) -> None:
        """Send the next pushes twice at the same time."""
        self.fault("push.duplicate", count=count, subscription=subscription)

    def refuse_publish(
        self, count: int = 1, *, status: int = 503, topic: str | None = None
    ) -> None:
        """Answer the next publishes with this status, 429 or 503; clients try again."""
        self.fault("publish.error", count=count, status=status, topic=topic)

    def fault(  # noqa: PLR0913 - keywords, as the emulator has them
        self,
        kind: str,
        *,
        count: int | None = None,
        rate: float | None = None,
        status: int | None = None,
        seconds: float | None = None,
        subscription: str | None = None,
        topic: str | None = None,
        call: str | None = None,
    ) -> None:
        """
        Any fault of docs/reference/emulator.md: "push.delay", "publish.hang", ... It happens
        ``count`` times, or for ever, at a ``rate`` of more than 0 and at most 1, to one
        subscription, topic or call ("CreateTopic"), or to all.
        """
        if len({subscription, topic, call} - {None}) > 1:
            raise ValueError("Name a subscription, a topic or a call, not several.")
        subscription = self._full_name("subscriptions", subscription)
        resource = subscription or self._full_name("topics", topic) or call
        how = {"count": count, "rate": rate, "status": status, "seconds": seconds}
        self._rest.post("/emulator/faults", kind=kind, resource=resource, **how)

    def clear_faults(self) -> None:
        """Let everything go right again."""
        self._rest.delete("/emulator/faults")

    # Delivery by hand

    def deliver_all(self, *, timeout: float = 30) -> list[Delivery]:
        """
        Wait for what is under way, then push all that waits, whatever its retry delay, push backoff
        or ack deadline, and wait for that and for what tasks enqueue meanwhile. What fails
        again waits for its next retry: call it again.

        Return the deliveries that have finished since the last wait of this object, in the order
        they began. Raise DeliveryTimeout after so many seconds.
        """
        wait = Wait(self._rest, caller="deliver_all", timeout=timeout)
        wait.until_delivered(under_way(wait.unsettled()))
        expected = self._rest.post("/emulator/deliver")["deliveries"]
        targets = {(one["message_id"], one["subscription"]): one["attempt"] for one in expected}
        wait.until_delivered(targets)
        return self._news()

    async def adeliver_all(self, *, timeout: float = 30) -> list[Delivery]:  # noqa: ASYNC109
        """See deliver_all(). For an endpoint that runs on this event loop."""
        return await _in_thread(self.deliver_all, timeout=timeout)

    def redeliver_last(self, subscription: str | None = None, *, timeout: float = 30) -> Delivery:
        """
        Push once more what was pushed last, of one subscription or of all, as Pub/Sub may at any
        time; whatever the answer, nothing follows from it.

        Return the delivery once it is answered. Raise DeliveryTimeout after so many seconds.
        """
        wait = Wait(self._rest, caller="redeliver_last", timeout=timeout)
        name = self._full_name("subscriptions", subscription)
        last = self._rest.post("/emulator/redeliver", **{"subscription": name} if name else {})
        key = (last["message_id"], last["subscription"])
        number, _ = self._redelivered(key)
        wait.until_answered(key)
        self._reported.add((key, number))
        return self._redelivered(key)[1]

    async def aredeliver_last(
        self,
        subscription: str | None = None,
        *,
        timeout: float = 30,  # noqa: ASYNC109
    ) -> Delivery:
        """See redeliver_last(). For an endpoint that runs on this event loop."""
        return await _in_thread(self.redeliver_last, subscription, timeout=timeout)

    def wait_until_settled(self, *, timeout: float = 30) -> list[Delivery]:
        """
        Wait until every message of a push subscription is acknowledged, a dead letter or expired,
        and nothing is under way.

        Return and raise as deliver_all() does.
        """
        Wait(self._rest, caller="wait_until_settled", timeout=timeout).until_settled()
        return self._news()

    async def await_until_settled(self, *, timeout: float = 30) -> list[Delivery]:  # noqa: ASYNC109
        """See wait_until_settled(). For an endpoint that runs on this event loop."""
        return await _in_thread(self.wait_until_settled, timeout=timeout)

    def reset(self) -> None:
        """Forget topics, subscriptions, messages and faults, and let the clock run."""
        self._rest.post("/emulator/reset")
        self.clock.resume()
        self._reported.clear()

    def _full_name(self, kind: str, name: str | None) -> str | None:
        if name is None or "/" in name:
            return name
        names: list[str] = [one["name"] for one in self._rest.get("/emulator/status")[kind]]
        found = [one for one in names if _is_named(one, name)]
        if len(found) != 1:
            raise EmulatorError(f"{name!r} is not one of the {kind}: {', '.join(names) or 'none'}")
        return found[0]

    def _redelivered(self, key: Key) -> tuple[int, Delivery]:
        """The last delivery by hand of a message, and its number within the message."""
        message_id, subscription = key
        found = [
            (number, delivery)
            for message in self._rest.messages(subscription=subscription)
            if message.message_id == message_id
            for number, delivery in enumerate(message.deliveries)
            if delivery.fault == "redelivered"
        ]
        if not found:
            raise EmulatorError(f"The emulator has forgotten message {message_id}.")
        return found[-1]

    def _news(self) -> list[Delivery]:
        """The pushes that have finished and were not told of before."""
        news, endpoints = [], self._rest.push_endpoints()
        for message in self._rest.messages():
            if endpoints.get(message.subscription, "deleted") is None:
                continue
            for number, delivery in enumerate(message.deliveries):
                mark = ((message.message_id, message.subscription), number)
                if delivery.finished_at is not None and mark not in self._reported:
                    self._reported.add(mark)
                    news.append(delivery)
        return _in_order(news)


def _is_named(name: str, wanted: str | None) -> bool:
    return wanted is None or name == wanted or name.endswith(f"/{wanted}")


def _in_order(deliveries: Iterable[Delivery]) -> list[Delivery]:
    return sorted(deliveries, key=lambda one: (one.sent_at, int(one.message_id), one.attempt))


async def _in_thread[T, **P](call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    import asyncio

    return await asyncio.to_thread(call, *args, **kwargs)
