from functools import partial

from django.db import transaction
from django.http import HttpResponse
from django.urls import include, path

from .models import Order
from .tasks import send_receipt, send_receipt_async


def order(request, number):
    with transaction.atomic():
        new = Order.objects.create(number=number)
        transaction.on_commit(partial(send_receipt.enqueue, order_id=new.pk))
    return HttpResponse(new.pk)


async def order_async(request, number):
    new = await Order.objects.acreate(number=number)
    await send_receipt_async.aenqueue(order_id=new.pk)
    return HttpResponse(new.pk)


urlpatterns = [
    path("order/<int:number>/", order),
    path("order_async/<int:number>/", order_async),
    path("tasks/", include("asgi_tasks.urls")),
]
