"""Google's three services together: where every call passes, whichever way it came."""

import asyncio
from collections import Counter
from typing import Final

from asgi_tasks.emulator.api.calls import CALLS, IAM_POLICY, PUBLISHER, SUBSCRIBER, Call
from asgi_tasks.emulator.api.checks import Protobuf
from asgi_tasks.emulator.api.iam_policy import IamPolicyApi
from asgi_tasks.emulator.api.publisher import PublisherApi
from asgi_tasks.emulator.api.subscriber import SubscriberApi
from asgi_tasks.emulator.bell import Bell
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.faults import Fault, Faults, Kind
from asgi_tasks.emulator.clock import Clock
from asgi_tasks.emulator.errors import ON_PURPOSE, InvalidArgument, refusal

CALL_NAMES: Final = tuple(sorted({call.name for call in CALLS}))


class Services:
    def __init__(self, broker: Broker, *, bell: Bell, clock: Clock, faults: Faults) -> None:
        self.counts: Counter[str] = Counter()  # calls, by name
        self.faults = faults
        self._apis = {
            PUBLISHER: PublisherApi(broker, faults),
            SUBSCRIBER: SubscriberApi(broker, bell=bell, clock=clock),
            IAM_POLICY: IamPolicyApi(broker),
        }

    def add_fault(self, fault: Fault) -> None:
        if fault.kind.operation == "call" and fault.resource not in (None, *CALL_NAMES):
            raise InvalidArgument(
                f"resource: {fault.resource!r} is none of {', '.join(CALL_NAMES)}."
            )
        self.faults.add(fault)

    def reset(self) -> None:
        self.counts.clear()
        self.faults.reset()

    async def call(self, call: Call, request: Protobuf) -> Protobuf:
        """The response. Refusals are EmulatorErrors."""
        self.counts[call.name] += 1
        fault = self.faults.draw("call", call.name)
        if fault is not None and fault.kind is Kind.CALL_DELAY:
            await asyncio.sleep(fault.seconds or 0.0)
        elif fault is not None:
            raise refusal(fault.status, ON_PURPOSE)
        return await call.method(self._apis[call.service], request)
