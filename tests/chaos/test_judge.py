"""The judge has to see each way in which a task can come to harm."""

from datetime import UTC, datetime

import pytest

from asgi_tasks.testing import Delivery, Message

from .judge import BROKER, FAILING, judge
from .logs import suspicious_lines
from .watch import Sample, Watch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "projects/tests/topics/test-chaos-"


def message(task_id="a", *, state="acknowledged", task="wait", topic=None, answers=(204,)):
    whose = {
        "task": task,
        "task_id": task_id,
        "message_id": "1",
        "subscription": "projects/tests/subscriptions/s",
        "topic": TOPIC + (topic or task),
    }
    deliveries = tuple(
        Delivery(attempt=n, status=status, sent_at=NOW, finished_at=NOW, **whose)
        for n, status in enumerate(answers, 1)
    )
    return Message(
        state=state,
        attempts=len(deliveries),
        ordering_key="",
        attributes={},
        published_at=NOW,
        deliveries=deliveries,
        **whose,
    )


def enqueued(task_id="a", *, kind="wait", what="enqueued"):
    return {"what": what, "id": task_id, "kind": kind, "number": f"number-{task_id}"}


def effect(task_id="a", *, kind="wait", pid=1, at=1.0, **facts):
    common = {"what": "effect", "pid": pid, "at": at, "kind": kind}
    return common | {"id": task_id, "number": f"number-{task_id}"} | facts


def refused(task_id="a"):
    return {"what": "refused", "kind": "wait", "number": f"number-{task_id}"}


def pushed(task_id="a", *, number="number-a"):
    return {"what": "pushed", "id": task_id, "number": number}


def kill(point, *, victim=1, at=2.0, task_id="a"):
    return {
        "what": "kill",
        "victim": victim,
        "point": point,
        "at": at,
        "number": f"number-{task_id}",
    }


def test_task_that_was_done_and_acknowledged_is_fine():
    verdict = judge([enqueued(), effect()], [message()], set())
    assert verdict.faults == []
    assert verdict.counts["acknowledged"] == verdict.counts["effects"] == 1


@pytest.mark.parametrize("state", ["waiting", "outstanding", "expired"])
def test_task_that_has_not_ended_is_lost(state):
    verdict = judge([enqueued(), effect()], [message(state=state)], set())
    assert verdict.faults == [f"lost: wait number-a, {state}"]


def test_task_that_was_never_published_is_lost():
    verdict = judge([enqueued()], [], set())
    assert verdict.faults == ["lost: wait number-a, not published"]


def test_acknowledgement_without_an_effect_is_a_fault():
    verdict = judge([enqueued()], [message()], set())
    assert verdict.faults == ["acknowledged without an effect: wait a"]


def test_effect_whose_row_is_missing_is_a_fault():
    entries = [enqueued(kind="keep"), effect(kind="keep")]
    assert judge(entries, [message(task="keep")], {"number-a"}).faults == []
    assert len(judge(entries, [message(task="keep")], set()).unproven) == 1


def test_dead_letter_of_a_task_that_works_is_a_fault():
    verdict = judge([enqueued(), effect()], [message(state="dead_lettered")], set())
    assert len(verdict.wrongly_dead) == 1


def test_task_that_never_works_belongs_among_the_dead_letters():
    entries = [enqueued(kind=FAILING)]
    dead = message(state="dead_lettered", task=FAILING)
    copy = message(state="waiting", task=FAILING, topic="dead-letter", answers=())
    assert judge(entries, [dead, copy], set()).faults == []
    assert len(judge(entries, [dead], set()).lost) == 1
    assert len(judge(entries, [message(task=FAILING), copy], set()).faults) == 2


def test_effect_of_what_nobody_published_is_a_fault():
    verdict = judge([effect("forged")], [], set())
    assert verdict.faults == ["an effect of what nobody published: wait number-forged"]


def test_child_without_an_effect_is_lost():
    parent = effect(kind="fan_out", children=["number-b"])
    messages = [message(task="fan_out")]
    assert len(judge([parent], messages, set()).lost) == 1
    both = [parent, effect("b")]
    assert judge(both, [*messages, message("b")], set()).faults == []


def test_unconfirmed_task_may_exist_or_not():
    entries = [enqueued(what="unconfirmed"), enqueued("b", what="unconfirmed"), effect()]
    verdict = judge(entries, [message()], set())
    assert verdict.faults == []
    assert verdict.counts["unconfirmed"] == 2
    assert verdict.counts["unconfirmed, yet published"] == 1


def test_refused_task_that_left_no_trace_is_fine():
    entries = [refused(), enqueued("b"), pushed("b", number="number-b"), effect("b")]
    verdict = judge(entries, [message("b")], set())
    assert verdict.faults == []
    assert verdict.counts["refused"] == 1


@pytest.mark.parametrize("state", ["waiting", "acknowledged", "dead_lettered"])
def test_refused_task_with_a_message_is_a_fault(state):
    verdict = judge([refused(), pushed()], [message(state=state)], set())
    assert "published although refused: wait number-a" in verdict.faults


def test_refused_task_with_an_effect_is_a_fault():
    verdict = judge([refused(), effect()], [message()], set())
    assert verdict.faults == ["published although refused: wait number-a"]


def test_forged_push_with_the_number_of_a_refused_task_proves_nothing():
    assert judge([refused(), pushed("forged")], [], set()).faults == []


def test_doubled_effect_is_told_with_its_cause():
    twice = [effect(pid=1, at=1), effect(pid=2, at=3)]
    messages = [message()]
    assert judge([*twice, kill("x")], messages, set()).doubled == {("x", "own"): 1}
    assert judge([*twice, kill("x", task_id="b")], messages, set()).doubled == {("x", "beside"): 1}
    assert judge([*twice, kill("x", at=4)], messages, set()).doubled == {(BROKER, None): 1}


def test_verdicts_add_up():
    verdict = judge([enqueued()], [], set())
    verdict += judge([enqueued("b"), effect("b")], [message("b")], set())
    assert verdict.counts["enqueued"] == 2
    assert verdict.counts["unconfirmed"] == 0
    assert len(verdict.lost) == 1


def test_log_of_an_error_of_ours_is_suspicious(tmp_path):
    expected = '{"message": "Task wait failed in 12 ms: id=1", "stack_trace": "Traceback ..."}'
    ours = '{"message": "Push not answered for by its task: an error in asgi_tasks or its set-up"}'
    log = tmp_path / "server.log"
    log.write_text("\n".join((expected, ours, "Traceback (most recent call last):")))
    assert suspicious_lines([log]) == [ours, "Traceback (most recent call last):"]


@pytest.mark.parametrize(("last", "growth"), [(80, 0), (100, 20)])
def test_memory_that_grows_to_the_end_is_noticed(last, growth):
    watch = Watch(pid=1)
    watch.samples = [Sample(n, size, 5) for n, size in enumerate((60, 70, 80, 80, last, last))]
    assert watch.growth == growth
