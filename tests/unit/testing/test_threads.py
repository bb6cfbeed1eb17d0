"""What runs within the transaction of a test, which the lanes of production never see."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from asgi_tasks.lanes import TransactionLeftOpen, run_tidily
from asgi_tasks.testing.threads import Savepoints

pytestmark = pytest.mark.django_db


def make_user(name="ada"):
    return User.objects.create(username=name)


def test_call_leaves_the_blocks_around_it_as_they_are():
    with transaction.atomic():
        run_tidily(make_user)
        assert connection.in_atomic_block
    assert User.objects.count() == 1


def test_block_left_open_is_rolled_back_to_those_around_it():
    def leave_open():
        for name in ("eve", "mallory"):
            transaction.atomic().__enter__()
            make_user(name)

    make_user()
    blocks = len(connection.atomic_blocks)
    with pytest.raises(TransactionLeftOpen, match="default"):
        run_tidily(leave_open)
    assert len(connection.atomic_blocks) == blocks
    assert User.objects.get().username == "ada"


def test_block_left_open_by_a_call_that_fails_is_rolled_back_too():
    def leave_open():
        transaction.atomic().__enter__()
        make_user()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the call's own
        run_tidily(leave_open)
    assert not User.objects.exists()


def test_savepoints_make_the_transaction_usable_after_an_error():
    make_user()
    savepoints = Savepoints()
    make_user("bob")
    with pytest.raises(IntegrityError):
        make_user("ada")
    savepoints.leave()
    assert User.objects.get().username == "ada"


def test_savepoints_keep_what_was_written_without_an_error():
    savepoints = Savepoints()
    make_user()
    savepoints.leave()
    assert User.objects.count() == 1


def test_callbacks_of_on_commit_run_once_and_in_their_order():
    called = []
    transaction.on_commit(lambda: called.append("the test's"))
    savepoints = Savepoints()
    transaction.on_commit(lambda: transaction.on_commit(lambda: called.append("third")))
    transaction.on_commit(lambda: called.append("second"))
    savepoints.leave()
    Savepoints().leave()
    assert called == ["second", "third"]


def test_callback_that_fails_is_raised_unless_it_is_robust(caplog):
    def fail():
        raise ValueError("callback")

    savepoints = Savepoints()
    transaction.on_commit(fail, robust=True)
    savepoints.leave()
    assert "A callback of on_commit() failed" in caplog.text
    savepoints = Savepoints()
    transaction.on_commit(fail)
    with pytest.raises(ValueError, match="callback"):
        savepoints.leave()
