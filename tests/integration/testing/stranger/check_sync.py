import pytest
from django.db import DatabaseError
from shop import tasks
from shop.asgi import django_application
from shop.models import Order

RECEIPTS = [tasks.send_receipt, tasks.send_receipt_async, tasks.send_receipt_through_a_bridge]
receipts = pytest.mark.parametrize("task", RECEIPTS, ids=lambda task: task.name)


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
def test_task_sees_what_the_test_wrote_and_the_other_way_round(order, run_enqueued, task):
    task.enqueue(order_id=order.pk)
    [answer] = run_enqueued()
    order.refresh_from_db()
    assert (answer.status, answer.outcome, answer.result) == (204, "succeeded", 7)
    assert order.receipts == 1


@receipts
def test_database_is_empty_in_every_test(task):
    assert not Order.objects.exists()
    Order.objects.create(number=7)


@receipts
@pytest.mark.parametrize("application", [None, django_application], ids=["asgi.py", "view"])
def test_push_client_reaches_the_task(order, push_client, task, application):
    answer = push_client.using(application=application).push(task, order.pk)
    order.refresh_from_db()
    assert (answer.status, answer.result, order.receipts) == (204, 7, 1)


def test_view_enqueues_on_commit(
    client, database, task_outbox, run_enqueued, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=database == "db"):
        client.get("/order/7/")
    task_outbox.assert_enqueued(tasks.send_receipt, order_id=Order.objects.get().pk)
    run_enqueued()
    assert Order.objects.get().receipts == 1


def test_what_a_task_enqueues_on_commit_is_run(order, run_enqueued):
    tasks.ship.enqueue(order.pk)
    assert [answer.task for answer in run_enqueued()] == [tasks.ship, tasks.send_receipt]
    order.refresh_from_db()
    assert order.receipts == 1


@pytest.mark.parametrize(
    ("task", "args"), [(tasks.copy_order, [7]), (tasks.ask_a_table_that_is_not_there, [])]
)
def test_database_can_be_used_after_a_task_failed_in_it(order, run_enqueued, task, args):
    task.enqueue(*args)
    with pytest.raises(DatabaseError):
        run_enqueued()
    assert Order.objects.get() == order


def test_transaction_left_open_fails_the_task_alone(order, run_enqueued):
    tasks.leave_a_transaction_open.enqueue(order.pk)
    tasks.send_receipt.enqueue(order.pk)
    left, sent = run_enqueued(raise_errors=False)
    order.refresh_from_db()
    assert (left.status, sent.status) == (500, 204)
    assert order.receipts == 1


def test_failure_tells_of_callbacks_that_never_run(client, database, task_outbox):
    client.get("/order/7/")
    if database == "db":
        with pytest.raises(AssertionError, match="1 on_commit callback waits"):
            task_outbox.assert_enqueued(tasks.send_receipt)
    else:
        task_outbox.assert_enqueued(tasks.send_receipt)
