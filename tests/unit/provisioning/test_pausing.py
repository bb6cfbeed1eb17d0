from dataclasses import replace

from asgi_tasks.provisioning.pausing import pause, paused_since, resume

from .builders import TODAY, one_route

PAIR = one_route()
PUSHED = replace(PAIR.subscription, labels={**PAIR.subscription.labels, "team": "league"})


def test_pause_clears_the_push_config_and_says_since_when():
    change = pause(PUSHED, TODAY)
    paused = change.resource
    assert (paused.endpoint, paused.service_account, paused.audience) == ("", "", "")
    assert paused.labels == {**PUSHED.labels, "asgi-tasks-paused": "2026-11-22"}
    assert {one.mask for one in change.differences} == {"push_config", "labels"}


def test_pause_and_resume_leave_all_as_it_was():
    assert resume(pause(PUSHED, TODAY).resource, PAIR).resource == PUSHED


def test_paused_subscription_need_not_be_paused():
    paused = pause(PUSHED, TODAY).resource
    assert pause(paused, TODAY.replace(year=2030)) is None
    assert paused_since(paused) == "2026-11-22"


def test_pushed_subscription_need_not_be_resumed():
    assert resume(PUSHED, PAIR) is None


def test_pause_by_hand_is_resumed():
    assert resume(replace(PUSHED, endpoint=""), PAIR).resource == PUSHED


def test_pause_by_hand_is_labelled():
    cleared = replace(PUSHED, endpoint="", service_account="", audience="")
    assert paused_since(pause(cleared, TODAY).resource) == "2026-11-22"


def test_resume_leaves_other_fields_alone():
    paused = replace(pause(PUSHED, TODAY).resource, ack_deadline=11)
    assert resume(paused, PAIR).resource.ack_deadline == 11
