"""Faults on request: which are drawn, and how they may be asked for."""

from itertools import pairwise

import pytest

from asgi_tasks.emulator.broker.faults import Fault, Faults, Kind, fault_from, parse_fault
from asgi_tasks.emulator.errors import InvalidArgument
from tests.unit.emulator.scene import DEAD, OTHER_SUB, SUB, TOPIC

PUSHES = [kind for kind in Kind if kind.operation == "push"]
HUGE = 10**400


@pytest.fixture
def faults():
    return Faults(seed=1)


def refusal(values):
    with pytest.raises(InvalidArgument) as refused:
        fault_from(values, "p")
    return refused.value.message


# Drawing


def test_nothing_asked_for_goes_wrong(faults):
    assert faults.draw("push", SUB) is None


def test_fault_is_drawn_for_its_operation_only(faults):
    fault = Fault(kind=Kind.PUSH_FAIL)
    faults.add(fault)
    assert faults.draw("push", SUB) == fault
    assert faults.draw("publish", TOPIC) is None
    assert faults.draw("call", "CreateTopic") is None


def test_fault_of_a_resource_is_drawn_for_that_one_only(faults):
    faults.add(Fault(kind=Kind.PUSH_FAIL, resource=SUB))
    assert faults.draw("push", OTHER_SUB) is None
    assert faults.draw("push", SUB)


def test_first_fault_that_fits_is_drawn(faults):
    faults.add(Fault(kind=Kind.PUSH_DROP, resource=OTHER_SUB))
    faults.add(Fault(kind=Kind.PUSH_FAIL))
    faults.add(Fault(kind=Kind.PUSH_DELAY))
    assert faults.draw("push", SUB).kind == Kind.PUSH_FAIL


def test_fault_that_its_rate_spares_leaves_the_next_its_turn(faults):
    faults.add(Fault(kind=Kind.PUSH_DROP, rate=1e-12))
    faults.add(Fault(kind=Kind.PUSH_FAIL))
    assert faults.draw("push", SUB).kind == Kind.PUSH_FAIL


def test_fault_with_a_count_is_used_up(faults):
    faults.add(Fault(kind=Kind.PUSH_FAIL, count=3))
    drawn = [faults.draw("push", SUB) for _ in range(5)]
    assert [fault and fault.count for fault in drawn] == [3, 2, 1, None, None]
    assert faults.active() == []


def test_fault_used_up_leaves_the_next_its_turn(faults):
    faults.add(Fault(kind=Kind.PUSH_DROP, count=1))
    faults.add(Fault(kind=Kind.PUSH_FAIL))
    drawn = [faults.draw("push", SUB).kind for _ in range(2)]
    assert drawn == [Kind.PUSH_DROP, Kind.PUSH_FAIL]


def test_fault_without_a_count_goes_on(faults):
    faults.add(Fault(kind=Kind.PUSH_FAIL))
    assert all(faults.draw("push", SUB) for _ in range(100))


def test_count_is_used_up_by_what_is_drawn_only(faults):
    faults.add(Fault(kind=Kind.PUSH_FAIL, rate=0.5, count=10))
    drawn = [faults.draw("push", SUB) for _ in range(100)]
    assert sum(map(bool, drawn)) == 10


def test_rate_is_kept(faults):
    faults.add(Fault(kind=Kind.PUSH_FAIL, rate=0.1))
    assert 70 < sum(bool(faults.draw("push", SUB)) for _ in range(1_000)) < 130


def test_same_seed_draws_the_same():
    drawn = []
    for seed in (7, 7, 8):
        faults = Faults(seed)
        faults.add(Fault(kind=Kind.PUSH_FAIL, rate=0.5))
        drawn.append([bool(faults.draw("push", SUB)) for _ in range(64)])
    assert [one == other for one, other in pairwise(drawn)] == [True, False]


def test_cleared_faults_are_gone(faults):
    faults.add(Fault(kind=Kind.PUSH_FAIL))
    faults.clear()
    assert faults.draw("push", SUB) is None


def test_list_of_the_active_is_a_copy(faults):
    faults.add(Fault(kind=Kind.PUSH_FAIL))
    faults.active().clear()
    assert len(faults.active()) == 1


# Asking for them


@pytest.mark.parametrize("kind", Kind)
def test_kind_alone_is_enough(kind):
    fault = parse_fault(kind.value, "p")
    assert (fault.kind, fault.rate, fault.count, fault.resource) == (kind, 1.0, None, None)


def test_everything_about_a_fault_can_be_told_in_one_line():
    text = f"push.delay:rate=0.25, count=3,seconds=0.5,resource={SUB}"
    assert parse_fault(text, "p") == Fault(
        kind=Kind.PUSH_DELAY, rate=0.25, count=3, seconds=0.5, resource=SUB
    )


def test_json_may_have_numbers_and_nulls():
    values = {"kind": "publish.error", "rate": 1, "count": 3.0, "status": 429, "seconds": None}
    assert fault_from(values, "p") == Fault(kind=Kind.PUBLISH_ERROR, count=3, status=429)


@pytest.mark.parametrize(
    ("kind", "name", "full"),
    [
        ("push.fail", "tasks-sub", SUB),
        ("push.fail", SUB, SUB),
        ("publish.error", "dead", DEAD),
        ("call.error", "CreateTopic", "CreateTopic"),
    ],
)
def test_short_name_is_of_what_the_kind_happens_to(kind, name, full):
    assert parse_fault(f"{kind}:resource={name}", "p").resource == full


@pytest.mark.parametrize(("kind", "name"), [("push.fail", TOPIC), ("publish.hang", SUB)])
def test_fault_of_the_wrong_kind_of_resource_is_refused(kind, name):
    with pytest.raises(InvalidArgument, match=r"^resource: "):
        parse_fault(f"{kind}:resource={name}", "p")


def test_dice_are_thrown_afresh_after_a_reset(faults):
    def thrown():
        faults.add(Fault(kind=Kind.PUSH_FAIL, rate=0.5))
        return [faults.draw("push", SUB) is not None for _ in range(40)]

    first = thrown()
    faults.reset()
    assert thrown() == first


@pytest.mark.parametrize("kind", Kind)
def test_only_faults_with_an_answer_have_a_status(kind):
    answered = {"push.fail": 503, "publish.error": 503, "call.error": 503}
    assert Fault(kind=kind).status == answered.get(kind)
    if kind not in answered:
        assert refusal({"kind": kind, "status": 503}).startswith("status: ")


@pytest.mark.parametrize("kind", Kind)
def test_only_faults_that_last_have_seconds(kind):
    lasting = {"push.delay": 1, "push.reorder": 1, "publish.hang": 3600, "call.delay": 1}
    assert Fault(kind=kind).seconds == lasting.get(kind)
    if kind not in lasting:
        assert refusal({"kind": kind, "seconds": 1}).startswith("seconds: ")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("push.fail", 300), ("push.fail", 599), ("publish.error", 429), ("publish.error", 503)],
)
def test_status_that_refuses_is_taken(kind, status):
    assert parse_fault(f"{kind}:status={status}", "p").status == status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("push.fail", 200),
        ("push.fail", 299),
        ("push.fail", 600),
        ("publish.error", 200),
        ("publish.error", 500),
        ("call.error", 200),
    ],
)
def test_status_that_does_not_refuse_is_refused(kind, status):
    assert refusal({"kind": kind, "status": status}).startswith(f"status: {status} is not ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("rate", value) for value in (0, -1, 1.01, "nan", "inf", "often", [1], {}, True, HUGE)],
        *[("count", value) for value in (0, -1, 1.5, "1.5", "inf", "nan", "", "x", [3], True)],
        *[("count", -HUGE), ("count", float("inf")), ("count", float("nan"))],
        *[("status", value) for value in (HUGE, 503.5, "busy", "5e2", False)],
        *[("seconds", value) for value in (0, -1, 3601, "nan", "inf", "soon", True, HUGE)],
        *[("resource", value) for value in (1, "", ["a"], {}, True)],
        *[("kind", value) for value in (None, "", "push", "push.", "PUSH.FAIL", 7, ["push.fail"])],
        *[("", 1), ("Rate", 1), ("message", "x")],
    ],
)
def test_nonsense_is_refused_with_the_fields_name(field, value):
    kind = "push.delay" if field == "seconds" else "push.fail"
    assert refusal({"kind": kind, field: value}).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "kind: ''"),
        ("nonsense", "kind: 'nonsense'"),
        ("push.fail:rate", "'rate' is not NAME=VALUE"),
        ("push.fail:,", "'' is not NAME=VALUE"),
        ("push.fail:rate=0.1,", "'' is not NAME=VALUE"),
        ("push.fail:rate=", "rate: ''"),
        ("push.fail:rate=0.1=0.2", "rate: '0.1=0.2'"),
        ("push.fail:colour=blue", "colour: "),
        ("push.fail:rate=0.1,rate=0.2", "rate: is given twice"),
        ("push.fail:kind=push.drop", "kind: is given twice"),
    ],
)
def test_nonsense_on_the_command_line_is_refused_by_name(text, named):
    with pytest.raises(InvalidArgument) as refused:
        parse_fault(text, "p")
    assert refused.value.message.startswith(named)


@pytest.mark.parametrize("kind", PUSHES)
def test_push_fault_is_of_pushes(kind):
    assert Fault(kind=kind).fits("push", SUB)
    assert not Fault(kind=kind).fits("publish", TOPIC)
