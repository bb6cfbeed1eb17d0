"""The instruments that asgi_tasks makes, as it makes them."""

from asgi_tasks import metrics


class Meter:
    """Takes note."""

    def __init__(self):
        self.made = []

    def create_counter(self, name, unit, description):
        self.made.append(("counter", name, unit, description))

    def create_up_down_counter(self, name, unit, description):
        self.made.append(("up-down counter", name, unit, description))

    def create_observable_up_down_counter(self, name, callbacks, unit, description):
        self.made.append(("up-down counter", name, unit, description))

    def create_histogram(self, name, unit, description, *, explicit_bucket_boundaries_advisory):
        self.made.append(("histogram", name, unit, description))


def instruments():
    """The kind, name, unit and description of each."""
    meter = Meter()
    metrics._Instruments(meter)
    return meter.made
