"""Many at once, killed at any moment, and how long two hundred routes take."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest

from asgi_tasks.backends import require_backend
from asgi_tasks.provisioning import (
    Action,
    Change,
    Difference,
    Grant,
    PubSubAdmin,
    apply,
    desired,
    read_and_plan,
    service_agent,
)

from . import children

TOPIC = "projects/tests/topics/test-site-add"
TIMEOUT = 60  # seconds
# Of one route from nothing: two lists; topic, subscription and grant of the dead letters; and of
# the route, whose mark is then taken away.
CALLS = 2 + 4 + 6
ROUTES = 200
DELAY = 0.05  # seconds a call


def is_complete(project):
    return project.run("--check", "--verify-iam").code == 0


def test_ten_at_once_make_each_resource_once(project, tmp_path):
    project.use("one")
    project.emulator.fault("call.delay", seconds=DELAY)  # so that nobody is through too soon
    outputs = [tmp_path / str(number) for number in range(10)]
    together = children.FORKING.Barrier(len(outputs))
    processes = [children.start(project.host, output, together) for output in outputs]
    for process in processes:
        process.join(TIMEOUT)
    told = [output.read_text() for output in outputs]
    assert [process.exitcode for process in processes] == [0] * 10, told
    assert project.calls()["CreateTopic"] > 2  # they did meet
    project.emulator.clear_faults()
    assert len(project.topics()) == len(project.subscriptions()) == 2
    for name in [*project.topics(), *project.subscriptions()]:
        assert len(project.policy(name)["bindings"]) <= 1
    assert is_complete(project)


def test_pause_and_labels_set_while_it_grants_are_kept(project):
    project.use("one")
    project.provision()
    name = f"{TOPIC.replace('topics', 'subscriptions')}-sub"
    with PubSubAdmin("tests") as admin:
        live = admin.subscription(name)
        meanwhile = {**live.labels, "asgi-tasks-paused": "2026-11-22", "team": "a"}
        marked = replace(live, labels={**meanwhile, "asgi-tasks-grants": "pending"})
        change = Difference(field="labels", before=None, after=None)
        admin.make(Change(action=Action.UPDATE, resource=marked, differences=(change,)))
        grant = Grant(resource=name, role="roles/pubsub.subscriber", member="user:a@b.example")
        admin.make(Change(action=Action.GRANT, resource=grant))
        assert admin.subscription(name).labels == meanwhile


def test_grants_made_at_once_are_all_kept(project):
    project.use("one")
    project.provision()
    project.emulator.fault("call.delay", seconds=DELAY, call="SetIamPolicy")
    members = {f"user:{number}@league.example" for number in range(5)}
    with PubSubAdmin("tests") as admin, ThreadPoolExecutor() as executor:
        changes = [
            Change(
                action=Action.GRANT,
                resource=Grant(resource=TOPIC, role="roles/pubsub.viewer", member=member),
            )
            for member in members
        ]
        list(executor.map(admin.make, changes))
    (binding,) = project.policy(TOPIC)["bindings"]
    assert set(binding["members"]) == members
    assert project.calls()["SetIamPolicy"] > 2 + len(members)  # they did meet


@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_killed_at_a_call_and_run_again_converges(project, tmp_path, number):
    project.use("one")
    if number > 1:
        project.emulator.fault("call.delay", seconds=0.001, count=number - 1)
    project.emulator.fault("call.delay", seconds=TIMEOUT, count=1)
    process = children.start(project.host, tmp_path / "output")
    wait_until_all_are_drawn(project)
    process.kill()
    process.join(TIMEOUT)
    assert sum(project.calls().values()) == number
    project.provision()
    assert is_complete(project)
    assert "nothing to change" in project.provision().out


def wait_until_all_are_drawn(project):
    deadline = time.monotonic() + TIMEOUT
    while project.faults():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_hundred_routes_are_made_many_at_once(project, capsys):
    project.emulator.fault("call.delay", seconds=DELAY)
    project.use("twenty")
    single = seconds(lambda: one_by_one(project)) * ROUTES / 20
    project.emulator.reset()
    project.emulator.fault("call.delay", seconds=DELAY)
    project.use("two_hundred")
    many = seconds(project.provision)
    project.emulator.clear_faults()
    assert is_complete(project)
    with capsys.disabled():
        print(
            f"\n{ROUTES} routes at {DELAY * 1000:.0f} ms a call: {many:.1f} s; one by one "
            f"{single:.1f} s (10 times what 20 routes take): {single / many:.1f} times faster"
        )


def one_by_one(project):
    wanted = desired(require_backend().routes, agent=service_agent("tests"))
    with PubSubAdmin("tests") as admin:
        plan = read_and_plan(wanted, admin, date(2026, 11, 22))
        assert all(outcome.is_good for outcome in apply(plan, admin, workers=1))


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
