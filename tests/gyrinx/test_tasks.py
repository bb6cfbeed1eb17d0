import uuid

import pytest
from django.tasks import Task, TaskResultStatus

from asgi_tasks import Discard
from gyrinx.core import tasks
from gyrinx.core.models import AnalyticsEvent, CampaignReport, Gang
from gyrinx.task_routes import task_routes

pytestmark = pytest.mark.django_db

NOBODY = 404
NOTHING = str(uuid.UUID(int=404))
EVENT = {
    "event_id": str(uuid.UUID(int=7)),
    "name": "gang_created",
    "data": {"gang": "x"},
    "happened_at": "2026-03-01T12:00:00+00:00",
}


@pytest.fixture
def report(make):
    campaign = make.campaign()
    make.gang((50, 2), campaign=campaign)
    return CampaignReport.objects.create(campaign=campaign, requested_by=campaign.owner)


def generate(report):
    """Run the task as a backend does, and return its result."""
    result = tasks.generate_campaign_report.enqueue(report_id=str(report.pk))
    report.refresh_from_db()
    return result


def test_every_task_has_a_route():
    assert {route.task.name for route in task_routes} == {
        name for name, value in vars(tasks).items() if isinstance(value, Task)
    }


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        (tasks.send_welcome_email, {"user_id": NOBODY}),
        (tasks.recalculate_list_costs, {"list_id": NOTHING}),
        (tasks.refresh_campaign, {"campaign_id": NOTHING}),
    ],
)
def test_task_whose_row_is_gone_is_discarded(task, arguments):
    with pytest.raises(Discard, match="is gone"):
        task.call(**arguments)


def test_report_whose_row_is_gone_is_discarded():
    result = tasks.generate_campaign_report.enqueue(report_id=NOTHING)
    assert result.errors[0].exception_class is Discard


def test_welcome_email_is_sent_to_the_user(make, mailoutbox):
    user = make.user("ada", email="ada@example.com")
    tasks.send_welcome_email.call(user_id=user.pk)
    (mail,) = mailoutbox
    assert mail.to == ["ada@example.com"]
    assert "ada" in mail.body


def test_welcome_email_delivered_twice_is_sent_once(make, mailoutbox):
    user = make.user()
    for _ in range(2):
        tasks.send_welcome_email.call(user_id=user.pk)
    assert len(mailoutbox) == 1


def test_welcome_email_that_fails_is_sent_by_the_next_attempt(make, mailoutbox, monkeypatch):
    user = make.user()

    def refuse(self):
        raise ConnectionRefusedError

    with monkeypatch.context() as broken:
        broken.setattr(tasks.EmailMessage, "send", refuse)
        with pytest.raises(ConnectionRefusedError):
            tasks.send_welcome_email.call(user_id=user.pk)
    tasks.send_welcome_email.call(user_id=user.pk)
    assert len(mailoutbox) == 1


def test_rating_is_the_sum_of_the_fighters_values(make):
    gang = make.gang((50, 2), (120, 0))
    gang.touch()
    assert tasks.recalculate_list_costs.call(list_id=str(gang.pk)) == 180
    gang.refresh_from_db()
    assert gang.rating == 180
    assert not gang.is_rating_due


def test_rating_equals_what_the_page_shows(make):
    gang = make.gang((50, 2), (120, 7))
    rating = tasks.recalculate_list_costs.call(list_id=str(gang.pk))
    assert rating == sum(fighter.value for fighter in gang.fighters.all())


def test_rating_without_fighters_is_zero(make):
    assert tasks.recalculate_list_costs.call(list_id=str(make.gang().pk)) == 0


def test_rating_from_a_late_older_run_does_not_overwrite_a_newer(make):
    gang = make.gang((50, 0))
    Gang.objects.filter(pk=gang.pk).update(rating=999, rated_revision=3, revision=2)
    tasks.recalculate_list_costs.call(list_id=str(gang.pk))
    gang.refresh_from_db()
    assert gang.rating == 999


@pytest.mark.django_db(transaction=True)
def test_refreshing_a_campaign_rates_each_of_its_gangs(make):
    campaign = make.campaign()
    inside = [make.gang((cost, 0), campaign=campaign) for cost in range(10, 60, 10)]
    outside = make.gang((99, 0))
    tasks.refresh_campaign.call(campaign_id=str(campaign.pk))
    assert [Gang.objects.get(pk=gang.pk).rating for gang in inside] == [10, 20, 30, 40, 50]
    outside.refresh_from_db()
    assert outside.rating == 0


def test_report_is_ready_once_generated(report):
    result = generate(report)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert report.status == CampaignReport.Status.READY
    assert report.file.name == f"reports/{report.pk}.pdf"
    assert report.task_id == result.id
    with report.file.open() as file:
        assert file.read().startswith(b"%PDF")


def test_report_delivered_twice_is_written_once(report):
    generate(report)
    first = report.finished_at
    generate(report)
    assert report.finished_at == first


def test_report_written_again_replaces_its_file(report):
    generate(report)
    CampaignReport.objects.update(status=CampaignReport.Status.RUNNING)
    generate(report)
    assert report.file.storage.listdir("reports")[1] == [f"{report.pk}.pdf"]


def test_report_that_fails_says_so_and_is_tried_again(report, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(tasks, "render_report", lambda report: 1 / 0)
        result = generate(report)
    assert result.errors[0].exception_class is ZeroDivisionError
    assert report.status == CampaignReport.Status.FAILED
    assert report.error
    generate(report)
    assert report.status == CampaignReport.Status.READY
    assert report.error == ""


def test_report_that_is_ready_is_not_marked_as_failed(report):
    generate(report)
    tasks.fail_report(report, "too late")
    report.refresh_from_db()
    assert report.is_ready


def test_event_delivered_twice_is_kept_once(make):
    user = make.user()
    for _ in range(2):
        tasks.log_analytics_event.call(user_id=user.pk, **EVENT)
    event = AnalyticsEvent.objects.get()
    assert (event.name, event.user, event.data) == ("gang_created", user, {"gang": "x"})
    assert event.happened_at.isoformat() == EVENT["happened_at"]


@pytest.mark.parametrize("user_id", [None, NOBODY])
def test_event_without_its_user_is_kept(user_id):
    tasks.log_analytics_event.call(user_id=user_id, **EVENT)
    assert AnalyticsEvent.objects.get().user is None
