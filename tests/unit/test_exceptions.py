"""What callers of enqueue may catch, and what each refused push answers."""

import pickle

import pytest

import asgi_tasks
from asgi_tasks import exceptions
from asgi_tasks.exceptions import AsgiTasksError, EnqueueError, EnqueueRefused, PushRefused

# What Pub/Sub takes for an acknowledgement.
ACKNOWLEDGED = {102, 200, 201, 202, 204}
ALL = [
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and kind.__module__ == exceptions.__name__
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_exception_is_an_asgi_tasks_error(kind):
    assert issubclass(kind, AsgiTasksError)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_exception_says_what_it_means(kind):
    assert kind.__doc__


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("EnqueueRefused", EnqueueError),
        ("EnqueueUnconfirmed", EnqueueError),
        ("RouteNotFound", EnqueueRefused),
        ("InvalidArguments", EnqueueRefused),
        ("InvalidArguments", TypeError),
    ],
)
def test_error_of_enqueue_is_caught_as_its_base(name, base):
    assert issubclass(getattr(asgi_tasks, name), base)


def test_enqueue_unconfirmed_is_not_taken_for_a_refusal():
    assert not issubclass(asgi_tasks.EnqueueUnconfirmed, EnqueueRefused)


def test_enqueue_unconfirmed_carries_the_task_id():
    assert asgi_tasks.EnqueueUnconfirmed("no answer", task_id="42").task_id == "42"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("InvalidMessage", 400),
        ("Unauthenticated", 401),
        ("PermissionDenied", 403),
        ("TaskNotFound", 404),
        ("MethodNotAllowed", 405),
        ("BodyTooSlow", 408),
        ("BodyTooLarge", 413),
        ("UnsupportedMediaType", 415),
        ("Unavailable", 503),
    ],
)
def test_refusal_has_its_status(name, status):
    assert getattr(exceptions, name).status == status


def test_no_refusal_acknowledges_the_message():
    assert not {kind.status for kind in PushRefused.__subclasses__()} & ACKNOWLEDGED


def test_unconfirmed_enqueue_survives_pickling():
    error = pickle.loads(pickle.dumps(asgi_tasks.EnqueueUnconfirmed("in doubt", task_id="abc")))
    assert (str(error), error.task_id) == ("in doubt", "abc")
