"""A user's tests; each line that a type checker refuses says how."""

from typing import reveal_type

from django.test import TestCase

from asgi_tasks.testing import Emulator, PushClient, TaskOutbox, TaskTestMixin, capture_tasks

from .shop import send_receipt, ship


def test_outbox(task_outbox: TaskOutbox) -> None:
    task_outbox.assert_enqueued(send_receipt, count=1, order_id=42)
    task_outbox.assert_enqueued(send_receipt, count="1")  # error: arg-type
    task_outbox.assert_enqueued("send_receipt")  # error: arg-type
    [result] = task_outbox.for_task(send_receipt)
    reveal_type(result)  # is: django.tasks.base.TaskResult[[order_id: int], str]
    reveal_type(task_outbox[0].args)  # is: list[Any]
    [answer] = task_outbox.run_enqueued(raise_errors=False)
    reveal_type(answer)  # is: asgi_tasks.testing.pushing.PushAnswer
    reveal_type(answer.status)  # is: int
    reveal_type(answer.outcome)  # is: str | None
    task_outbox.run_enqueued(False)  # error: call-arg


async def test_push_client(push_client: PushClient) -> None:
    answer = await push_client.using(attempt=2).apush(ship, 42, express=True)
    reveal_type(answer.result)  # is: Any
    await push_client.apush(ship, "42")  # error: arg-type
    push_client.push(send_receipt, order=42)  # error: call-arg
    push_client.using(attempts=2)  # error: call-arg


def test_emulator(pubsub_emulator: Emulator) -> None:
    [delivery] = pubsub_emulator.deliver_all()
    reveal_type(delivery.status)  # is: int | None


class ReceiptTests(TaskTestMixin, TestCase):
    def test_receipt(self) -> None:
        reveal_type(self.task_outbox)  # is: asgi_tasks.testing.outbox.TaskOutbox
        reveal_type(self.push_client)  # is: asgi_tasks.testing.push_client.PushClient
        reveal_type(self.run_enqueued()[0].attempt)  # is: int


with capture_tasks({"routes": "shop.task_routes"}) as capture:
    reveal_type(capture.outbox)  # is: asgi_tasks.testing.outbox.TaskOutbox
