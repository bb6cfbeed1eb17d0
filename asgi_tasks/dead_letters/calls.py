"""The calls of Pub/Sub that dead letters need, by Google's generated clients over gRPC."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from ..conf import BackendOptions
from ..provisioning.calls import explained, limits
from ..provisioning.problems import CallFailed, Conflict, Context
from ..provisioning.resources import Grant, short

ACK_IDS: Final = 1000  # a request: they are about 200 bytes each, and it takes 512 KiB
PULL_TIMEOUT: Final = 5.0  # seconds: that long Pub/Sub may hold a pull while there is nothing
CALL_TIMEOUT: Final = 30.0  # seconds, repeats included


class Calls:
    """Pull, lease, acknowledge and publish, from any thread. All of it raises CallFailed."""

    def __init__(self, options: BackendOptions, subscription: str) -> None:
        self._subscription = subscription
        self._publish_timeout = options.publish_timeout
        self._context = Context(project_id=options.project_id)
        with self._called("connect to Pub/Sub"):
            from google.pubsub_v1 import PublisherClient, SubscriberClient, types
            from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
            from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

            self._types = types
            self._publisher = PublisherClient(transport=_emulated(PublisherGrpcTransport))
            self._subscriber = SubscriberClient(transport=_emulated(SubscriberGrpcTransport))

    def close(self) -> None:
        """Close the connections."""
        for client in (self._publisher, self._subscriber):
            client.transport.close()  # type: ignore[no-untyped-call]

    def pull(self, limit: int) -> Sequence[Any]:
        """Google's ReceivedMessages, often fewer than there are, and none though there are some."""
        from google.api_core.exceptions import DeadlineExceeded

        request = {"subscription": self._subscription, "max_messages": limit}
        with self._consuming("pull dead letters"):
            try:
                answer = self._subscriber.pull(request=request, **limits(PULL_TIMEOUT))
            except DeadlineExceeded:
                return ()
            found: Sequence[Any] = type(answer).pb(answer).received_messages
            return found

    def lease(self, ack_ids: Sequence[str], seconds: int) -> None:
        """Hold them for so long from now; for no time at all to give them back."""
        action = "extend the leases of dead letters" if seconds else "give dead letters back"
        for some in _split(ack_ids):
            request = {
                "subscription": self._subscription,
                "ack_ids": some,
                "ack_deadline_seconds": seconds,
            }
            with self._consuming(action):
                self._subscriber.modify_ack_deadline(request=request, **limits(CALL_TIMEOUT))

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Remove them from the subscription."""
        for some in _split(ack_ids):
            request = {"subscription": self._subscription, "ack_ids": some}
            with self._consuming("acknowledge dead letters"):
                self._subscriber.acknowledge(request=request, **limits(CALL_TIMEOUT))

    def publish(self, topic: str, messages: Iterable[dict[str, Any]]) -> Sequence[str]:
        """Their ids, once the broker has confirmed them all."""
        pb = self._types.PubsubMessage.pb()
        request = self._types.PublishRequest.pb()(
            topic=topic, messages=[pb(**message) for message in messages]
        )
        grant = Grant(resource=topic, role="roles/pubsub.publisher", member="")
        try:
            with self._called(f"publish to {short(topic)}", ["pubsub.topics.publish"], grant):
                answer = self._publisher.publish(
                    request=self._types.PublishRequest.wrap(request),
                    **limits(self._publish_timeout),
                )
        except Conflict as error:
            raise _no(f"topic {short(topic)}") from error.__cause__
        if len(answer.message_ids) != len(request.messages):
            raise CallFailed(f"Could not publish to {short(topic)}: not every message got an id")
        return list(answer.message_ids)

    @contextmanager
    def _consuming(self, action: str) -> Iterator[None]:
        name = self._subscription
        grant = Grant(resource=name, role="roles/pubsub.subscriber", member="")
        try:
            with self._called(action, ["pubsub.subscriptions.consume"], grant):
                yield
        except Conflict as error:
            raise _no(f"subscription {short(name)}") from error.__cause__

    def _called(
        self, action: str, permissions: Iterable[str] = (), grant: Grant | None = None
    ) -> AbstractContextManager[None]:
        return explained(action, permissions, self._context, grant)


def _emulated(transport: Any) -> Any:
    """For the emulator the client's own channel would refuse messages over 4 MB."""
    host = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not host:
        return None
    import grpc

    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    return transport(channel=grpc.insecure_channel(host, options=unlimited))


def _no(what: str) -> CallFailed:
    return CallFailed(f"There is no {what}. Run provision_tasks, which makes it.")


def _split(ack_ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ack_ids[start : start + ACK_IDS] for start in range(0, len(ack_ids), ACK_IDS))
