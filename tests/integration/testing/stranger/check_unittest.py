import unittest

from django.test import SimpleTestCase, TestCase, TransactionTestCase
from shop import tasks
from shop.models import Order

from asgi_tasks import EnqueueRefused
from asgi_tasks.testing import TaskTestMixin

RECEIPTS = [tasks.send_receipt, tasks.send_receipt_async, tasks.send_receipt_through_a_bridge]


class Checks(TaskTestMixin):
    def test_sync(self):
        order = Order.objects.create(number=7)
        for task in RECEIPTS:
            task.enqueue(order_id=order.pk)
        assert [answer.result for answer in self.run_enqueued()] == [7, 7, 7]
        assert self.push_client.push(tasks.send_receipt, order.pk).status == 204
        order.refresh_from_db()
        assert order.receipts == 4

    async def test_async(self):
        order = await Order.objects.acreate(number=7)
        for task in RECEIPTS:
            await task.aenqueue(order_id=order.pk)
        assert [answer.result for answer in await self.arun_enqueued()] == [7, 7, 7]
        answer = await self.push_client.apush(tasks.send_receipt, order.pk)
        assert answer.status == 204
        await order.arefresh_from_db()
        assert order.receipts == 4


class InTransaction(Checks, TestCase):
    def test_on_commit(self):
        with self.captureOnCommitCallbacks(execute=True):
            self.client.get("/order/7/")
        self.task_outbox.assert_enqueued(tasks.send_receipt, count=1)


class Committing(Checks, TransactionTestCase):
    def test_on_commit(self):
        self.client.get("/order/7/")
        self.task_outbox.assert_enqueued(tasks.send_receipt, count=1)


class WithoutDatabase(TaskTestMixin, SimpleTestCase):
    task_options = {"environment": "elsewhere"}  # noqa: RUF012

    def test_enqueue(self):
        with self.task_outbox.refusing(), self.assertRaises(EnqueueRefused) as refused:  # noqa: PT027
            tasks.send_receipt.enqueue(order_id=7)
        assert "elsewhere-tasks-send-receipt" in str(refused.exception)


class WithoutDjango(TaskTestMixin, unittest.IsolatedAsyncioTestCase):
    async def test_enqueue(self):
        await tasks.send_receipt.aenqueue(order_id=7)
        self.task_outbox.assert_enqueued(tasks.send_receipt, order_id=7)


del Checks
