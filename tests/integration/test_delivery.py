"""A task's whole way: a real Daphne process, the emulator, real clients, real sockets."""

import pytest


@pytest.mark.parametrize("view", ["aenqueue", "enqueue"], ids=["async view", "sync view"])
@pytest.mark.parametrize("task", ["add", "add_sync"])
def test_task_enqueued_in_a_view_runs_by_push(site, task, view):
    task_id = site.enqueue(task, view=view, a=len(view), b=100)
    (record,) = site.wait_until_settled(task_id)
    assert record["state"] == "acknowledged"
    assert [delivery["status"] for delivery in record["deliveries"]] == [204]
    assert len(site.effects(task, result=len(view) + 100)) == 1


@pytest.mark.parametrize("task", ["fail_twice", "fail_twice_sync"])
def test_task_that_fails_twice_is_delivered_three_times(site, task):
    task_id = site.enqueue(task, key=task)
    (record,) = site.wait_until_settled(task_id)
    assert [delivery["status"] for delivery in record["deliveries"]] == [500, 500, 204]
    assert [effect["attempt"] for effect in site.effects(task, key=task)] == [1, 2, 3]


def test_task_that_always_fails_becomes_a_dead_letter(site):
    task_id = site.enqueue("fail")
    (record,) = site.wait_until_settled(task_id)
    assert record["state"] == "dead_lettered"
    assert len(record["deliveries"]) == 5


@pytest.mark.parametrize(("task", "other"), [("fan_out", "add"), ("fan_out_sync", "add_sync")])
def test_task_enqueues_tasks(site, task, other):
    numbers = [7001, 7002, 7003]
    site.wait_until_settled(site.enqueue(task, numbers=numbers))
    site.wait_until(lambda: {e["result"] for e in site.effects(other)} >= set(numbers))


@pytest.mark.parametrize("task", ["give_up", "return_object"])
def test_task_that_would_fail_again_is_acknowledged(site, task):
    (record,) = site.wait_until_settled(site.enqueue(task))
    assert [delivery["status"] for delivery in record["deliveries"]] == [204]
    assert site.effects(task)
