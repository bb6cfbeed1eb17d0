from functools import partial

from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.db.models import F
from django.tasks import task

from .models import Order


@task
def send_receipt(order_id):
    order = Order.objects.get(pk=order_id)
    Order.objects.filter(pk=order_id).update(receipts=F("receipts") + 1)
    return order.number


@task
async def send_receipt_async(order_id):
    order = await Order.objects.aget(pk=order_id)
    await Order.objects.filter(pk=order_id).aupdate(receipts=F("receipts") + 1)
    return order.number


@task
def send_receipt_through_a_bridge(order_id):
    return async_to_sync(send_receipt_async.func)(order_id)


@task
def ship(order_id):
    with transaction.atomic(durable=True):
        Order.objects.select_for_update().get(pk=order_id)
        transaction.on_commit(partial(send_receipt.enqueue, order_id=order_id))


@task
async def ship_async(order_id):
    await send_receipt_async.aenqueue(order_id=order_id)


@task
def copy_order(number):
    Order.objects.create(number=number)


@task
def ask_a_table_that_is_not_there():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nowhere")


@task
def leave_a_transaction_open(order_id):
    transaction.atomic().__enter__()
    Order.objects.filter(pk=order_id).update(receipts=99)
