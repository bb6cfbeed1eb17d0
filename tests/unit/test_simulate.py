"""The simulation: its parts by the published rules, its whole by the formulas of task_capacity."""

import json
import sys
from collections import Counter

import pytest

from asgi_tasks.capacity import PUSH_WINDOW, find_limits
from bench.simulate import main
from bench.simulation.cloud_run import CloudRun
from bench.simulation.costs import a_month, costs
from bench.simulation.facts import FIRST_WINDOW, LONGEST_WAIT, START_SECONDS
from bench.simulation.pubsub import Subscriptions
from bench.simulation.queues import Group, Stage, total
from bench.simulation.run import STEP, Run, percentile, simulate
from bench.simulation.scenarios import SCENARIOS, Scenario, Settings, Task, limits, service

NOW = 100.0


def scenario(*, rate=1_000, seconds=120, task=None, **settings):
    return Scenario(
        name="test",
        title="test",
        rate=rate,
        seconds=seconds,
        task=task or Task(),
        settings=Settings(**settings),
    )


# The whole


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("event loop", scenario(max_instances=3)),
        (
            "concurrency",
            scenario(seconds=600, concurrency=10, max_instances=10, task=Task(wait_seconds=5)),
        ),
        ("lanes", scenario(task=Task(database_seconds=0.05), lanes=1, max_instances=10)),
        ("pool", scenario(task=Task(database_seconds=0.05), pool_size=1, max_instances=10)),
        (
            "database connections",
            scenario(task=Task(database_seconds=0.05), database_connections=12, max_instances=10),
        ),
        ("push quota", scenario(task=Task(message_bytes=100_000), max_instances=10)),
        (
            "HTTP/1",
            scenario(rate=3_000, task=Task(cpu_seconds=0.0), concurrency=300, max_instances=1),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_overloaded_service_does_what_its_first_limit_says(name, case):
    run = simulate(case)
    assert limits(case)[0].name == name
    done_a_second = run.settled_delays.total() / run.settled_from
    assert done_a_second == pytest.approx(limits(case)[0].rate, rel=0.03)


def test_slow_task_has_no_more_under_way_than_the_push_window():
    case = scenario(rate=2_000, seconds=600, task=Task(wait_seconds=5), max_instances=100)
    run = simulate(case)
    assert limits(case)[0].name == "push window"
    assert run.peak_under_way <= 1.05 * PUSH_WINDOW
    rate = run.settled_delays.total() / run.settled_from
    assert rate == pytest.approx(limits(case)[0].rate, rel=0.05)


@pytest.mark.parametrize("case", SCENARIOS, ids=lambda case: case.name)
def test_limits_are_those_of_task_capacity_for_a_task_that_computes_nothing(case):
    computing_nothing = Scenario(
        name="", title="", rate=1, settings=case.settings, task=Task(cpu_seconds=0.0)
    )
    found = {limit.name: limit.rate for limit in limits(computing_nothing)}
    expected = {limit.name: limit.rate for limit in find_limits(service(computing_nothing))}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_several_subscriptions_have_as_many_push_windows():
    slow = Task(wait_seconds=3)
    rates = [
        next(
            limit.rate
            for limit in limits(scenario(task=slow, subscriptions=number))
            if limit.name == "push window"
        )
        for number in (1, 10)
    ]
    assert rates[1] == 10 * rates[0]


@pytest.mark.parametrize(
    "case",
    [
        scenario(rate=10),
        scenario(rate=50_000, max_instances=50),
        scenario(rate=30, concurrency=1, max_instances=1, task=Task(wait_seconds=30)),
    ],
    ids=["few", "many", "refused"],
)
def test_every_task_is_done_or_still_there(case):
    run = simulate(case)
    assert run.enqueued == run.done + run.left
    assert run.enqueued == pytest.approx(case.rate * case.seconds, rel=0.1)


def test_same_seed_gives_the_same_run_and_another_one_another():
    case = scenario(rate=20, seconds=30)
    assert simulate(case, seed=3) == simulate(case, seed=3)
    assert simulate(case, seed=3).moments != simulate(case, seed=4).moments


def test_burst_comes_at_once_and_is_worked_off_at_the_first_limit():
    case = next(case for case in SCENARIOS if case.burst)
    run = simulate(case)
    rate = limits(case)[0].rate - case.rate
    assert run.peak_backlog == pytest.approx(case.burst, rel=0.02)
    assert run.drain_seconds == pytest.approx(case.burst / rate, rel=0.05)


# Pub/Sub


def subscriptions(*, waiting=1_000_000, **settings):
    made = Subscriptions(scenario(region="large", **settings))
    made.publish([Group(waiting, enqueued=0.0)])
    return made


def pushed_later(groups, seconds):
    """The same pushes, as if they had been under way for so long."""
    return [group._replace(pushed=NOW - seconds) for group in groups]


def test_push_window_begins_with_a_few_and_doubles_with_each_round():
    pubsub = subscriptions()
    for expected in (FIRST_WINDOW, 2 * FIRST_WINDOW, 4 * FIRST_WINDOW):
        pushed = pubsub.push(NOW, STEP)
        assert total(pushed) == expected
        assert pubsub.push(NOW, STEP) == []
        pubsub.answered(pushed, [], NOW, STEP)


def acknowledge(pubsub, rounds, seconds=0.1):
    for _ in range(rounds):
        pubsub.answered(pushed_later(pubsub.push(NOW, STEP), seconds), [], NOW, STEP)


def test_push_window_grows_slowly_from_3000():
    pubsub = subscriptions()
    acknowledge(pubsub, rounds=20)
    assert PUSH_WINDOW < pubsub.window < 1.1 * PUSH_WINDOW


def test_push_window_is_back_at_3000_when_pushes_take_more_than_a_second():
    pubsub = subscriptions()
    acknowledge(pubsub, rounds=20)
    acknowledge(pubsub, rounds=20, seconds=30)
    assert pubsub.window == PUSH_WINDOW


def test_push_window_is_back_at_3000_when_one_in_fifty_fails():
    pubsub = subscriptions()
    acknowledge(pubsub, rounds=200)
    before = pubsub.window
    pushed = pubsub.push(NOW, STEP)
    [group] = pushed
    failed = [group._replace(count=total(pushed) // 2)]
    rest = [group._replace(count=group.count - total(failed))]
    pubsub.answered(rest, failed, NOW, STEP)
    assert before > PUSH_WINDOW >= pubsub.window


def test_failure_halves_the_window_and_pauses_the_subscription_longer_each_time():
    pubsub = subscriptions()
    acknowledge(pubsub, rounds=3)
    assert pubsub.window == 8 * FIRST_WINDOW
    now = NOW
    for pause, window in ((0.1, 20), (0.2, 10), (0.4, 5)):
        pubsub.answered([], pubsub.push(now, STEP), now, STEP)
        assert pubsub.window == window
        assert pubsub.push(now + 0.9 * pause, STEP) == []
        now += pause
    assert pubsub.push(now, STEP)


def test_failed_message_comes_again_after_the_retry_delay():
    pubsub = subscriptions(waiting=1)
    pubsub.answered([], pubsub.push(0.0, STEP), 0.0, STEP)
    assert pubsub.push(9.9, STEP) == []
    assert pubsub.backlog == 1
    [again] = pubsub.push(10.0, STEP)
    assert (again.attempt, pubsub.backlog) == (2, 0)
    pubsub.answered([], [again], 10.0, STEP)
    assert pubsub.push(29.9, STEP) == []
    assert total(pubsub.push(30.0, STEP)) == 1


# Cloud Run


def test_instance_starts_when_there_is_a_request_and_takes_its_time():
    cloud_run = CloudRun(scenario(), STEP)
    cloud_run.run([], 0.0)
    cloud_run.run([], 10.0)
    assert cloud_run.instances == 0
    cloud_run.run([Group(1, enqueued=0.0, pushed=10.0)], 10.0)
    cloud_run.run([], 10.0 + START_SECONDS - STEP)
    assert cloud_run.instances == 0
    begun, _, _ = cloud_run.run([], 10.0 + START_SECONDS)
    assert (cloud_run.instances, total(begun)) == (1, 1)


def test_request_that_finds_no_place_is_refused_after_its_wait():
    case = scenario(concurrency=1, max_instances=1, task=Task(wait_seconds=60))
    cloud_run = CloudRun(case, STEP)
    cloud_run.run([Group(2, enqueued=0.0, pushed=0.0)], 0.0)
    wait = max(LONGEST_WAIT, 3.5 * START_SECONDS)
    _, _, refused = cloud_run.run([], wait - STEP)
    assert refused == []
    _, _, refused = cloud_run.run([], wait)
    assert total(refused) == 1
    assert cloud_run.under_way == 1


def test_stage_saves_no_work_for_later():
    stage = Stage(1.0)
    assert stage.serve(10.0) == []
    stage.queue.put([Group(5, enqueued=0.0)])
    assert [total(stage.serve(0.5)) for _ in range(4)] == [0, 1, 0, 1]


# What comes out


def test_costs_are_those_worked_out_by_hand():
    run = Run(
        scenario(rate=100, seconds=2_000),
        settled_pushes=100_000,
        settled_busy_seconds=1_000,
        settled_instance_seconds=2_000,
    )
    found = costs(run)
    assert found.by_request == pytest.approx(10 * 1_000 * (24e-6 + 2.5e-6) + 0.40)
    assert found.by_instance == pytest.approx(10 * 2_000 * 20e-6)
    assert found.pubsub == pytest.approx(40 * 2e9 / 2**40)
    assert found.total == found.by_instance + found.pubsub + found.log
    assert a_month(run) == pytest.approx(found.total * 259.2)


def test_percentile_is_what_so_many_waited_at_the_most():
    delays = Counter({0: 50, 10: 49, 100: 1})
    assert [percentile(delays, share) for share in (0.5, 0.51, 0.99, 1.0)] == [
        0.0,
        10 * STEP,
        10 * STEP,
        100 * STEP,
    ]


# The command


def test_json_names_what_binds_first(capsys):
    main(["--json", "--push-cpu-seconds=0.02"])
    found = {one["scenario"]["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found.keys() == {case.name for case in SCENARIOS}
    assert found["1000"]["binds_first"] == {
        "name": "event loop",
        "rate": pytest.approx(20 / 0.025),
        "remedy": "raise --max-instances",
    }
    assert found["1000"]["backlog_peak"] > 100_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed=some"], "argument --seed: 'some' is not a number"),
        (["--seed=-1"], "argument --seed: -1 is not a number from 0 up"),
        (["--push-cpu-seconds=nan"], "argument --push-cpu-seconds: nan is not a number from 0 up"),
        (["--plot"], "argument --plot: expected one argument"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_bad_option_is_one_line(capsys, arguments, said):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    printed = capsys.readouterr()
    assert (exit_.value.code, printed.out) == (2, "")
    assert printed.err == f"bench.simulate: {said}\n"


def test_plotting_without_matplotlib_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as exit_:
        main([f"--plot={tmp_path}"])
    assert exit_.value.code == 2
    assert "requirements/bench.txt" in capsys.readouterr().err


def test_folder_that_is_none_is_one_line(capsys, monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    # Only looked for, as a plot would come last.
    (tmp_path / "matplotlib.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main([f"--plot={file}"])
    assert exit_.value.code == 2
    assert (
        capsys.readouterr().err == f"bench.simulate: --plot: cannot write to {file}: File exists\n"
    )
