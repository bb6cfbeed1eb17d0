from django.db import models


class Order(models.Model):
    number = models.IntegerField(unique=True)
    receipts = models.IntegerField(default=0)
