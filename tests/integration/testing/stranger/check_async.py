import pytest
from shop import tasks
from shop.asgi import django_application
from shop.models import Order

RECEIPTS = [tasks.send_receipt, tasks.send_receipt_async, tasks.send_receipt_through_a_bridge]
receipts = pytest.mark.parametrize("task", RECEIPTS, ids=lambda task: task.name)
pytestmark = pytest.mark.asyncio


@pytest.fixture(
    autouse=True,
    params=[
        pytest.param("db", marks=pytest.mark.django_db),
        pytest.param("transactional_db", marks=pytest.mark.django_db(transaction=True)),
    ],
)
def database(request):
    return request.param


@pytest.fixture
def order():
    return Order.objects.create(number=7)


@receipts
async def test_task_sees_what_the_test_and_its_fixtures_wrote(order, arun_enqueued, task):
    other = await Order.objects.acreate(number=8)
    await task.aenqueue(order_id=order.pk)
    await task.aenqueue(order_id=other.pk)
    assert [answer.result for answer in await arun_enqueued()] == [7, 8]
    await order.arefresh_from_db()
    assert order.receipts == 1


@receipts
async def test_database_is_empty_in_every_test(task_outbox, task):
    assert not await Order.objects.aexists()
    await Order.objects.acreate(number=7)


@receipts
@pytest.mark.parametrize("application", [None, django_application], ids=["asgi.py", "view"])
async def test_push_client_reaches_the_task(order, push_client, task, application):
    answer = await push_client.using(application=application).apush(task, order.pk)
    await order.arefresh_from_db()
    assert (answer.status, answer.result, order.receipts) == (204, 7, 1)


async def test_view_enqueues(async_client, task_outbox, arun_enqueued):
    await async_client.get("/order_async/7/")
    order = await Order.objects.aget()
    task_outbox.assert_enqueued(tasks.send_receipt_async, order_id=order.pk)
    await tasks.ship_async.aenqueue(order.pk)
    assert [answer.task for answer in await arun_enqueued()] == [
        tasks.send_receipt_async,
        tasks.ship_async,
        tasks.send_receipt_async,
    ]
    await order.arefresh_from_db()
    assert order.receipts == 2
