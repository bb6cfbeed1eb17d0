import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from gyrinx.core.models import AnalyticsEvent, Campaign, CampaignReport, Fighter, Gang, User

from .conftest import PASSWORD

FRAGMENTS = {"X-Requested-With": "fragments"}
SIGN_UP = {
    "username": "ada",
    "email": "ada@example.com",
    "password1": PASSWORD,
    "password2": PASSWORD,
}
FIGHTER = {"name": "Vex", "type": "leader", "cost": "100", "kills": "3", "xp": "4"}


def text(response):
    return response.content.decode()


@pytest.fixture
def gang(player, make):
    return make.gang((50, 0), owner=player, name="Saints")


@pytest.fixture
def fighter(gang):
    return gang.fighters.get()


@pytest.fixture
def campaign(player, make):
    return make.campaign(owner=player, name="Winter")


@pytest.mark.parametrize("name", ["home", "login", "sign-up"])
def test_page_without_log_in_is_shown(client, db, name):
    assert client.get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", ["gang-list", "gang-create", "campaign-list", "campaign-create"])
def test_page_for_players_asks_to_log_in(client, db, name):
    response = client.get(reverse(name))
    assert response.url.startswith(reverse("login"))


@pytest.mark.parametrize("name", ["gang-list", "gang-create", "campaign-list", "campaign-create"])
def test_page_for_players_is_shown(pages, name):
    assert pages.get(reverse(name)).status_code == 200


def test_unknown_page_has_a_way_back(pages):
    response = pages.get("/nowhere/")
    assert response.status_code == 404
    assert "Back to the start" in text(response)


def test_failing_page_has_a_way_back(pages, monkeypatch):
    monkeypatch.setattr("gyrinx.core.views.gang_context", lambda *args: 1 / 0)
    pages.raise_request_exception = False
    response = pages.get(reverse("gang-detail", args=[Gang().pk]))
    assert response.status_code == 500
    assert "Back to the start" in text(response)


def test_pages_allow_nothing_from_elsewhere(pages):
    response = pages.get(reverse("gang-list"))
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert "style=" not in text(response)


@pytest.mark.parametrize("host", ["testserver", "10.1.2.3:8080"])
def test_liveness_needs_neither_host_nor_database(client, host):
    response = client.get("/health/live", headers={"Host": host})
    assert (response.status_code, text(response)) == (200, "ok\n")


async def test_liveness_is_answered_on_the_loop(async_client):
    response = await async_client.get("/health/live")
    assert response.status_code == 200


def test_sign_up_logs_in_and_sends_the_welcome_email(client, transactional_db, mailoutbox):
    response = client.post(reverse("sign-up"), SIGN_UP, follow=True)
    assert response.context["user"].username == "ada"
    assert [mail.to for mail in mailoutbox] == [["ada@example.com"]]
    assert "Send it again" not in text(response)


def test_sign_up_with_mistakes_makes_nobody(client, transactional_db, mailoutbox):
    response = client.post(reverse("sign-up"), SIGN_UP | {"email": ""})
    assert response.status_code == 422
    assert not User.objects.exists()
    assert not mailoutbox


def test_sign_up_while_pubsub_is_down_keeps_the_account(client, transactional_db, pubsub_down):
    response = client.post(reverse("sign-up"), SIGN_UP, follow=True)
    assert response.status_code == 200
    assert "Your account is ready, but" in text(response)
    assert "Send it again" in text(response)
    assert User.objects.filter(username="ada").exists()


def test_welcome_email_can_be_asked_for_again(pages, mailoutbox):
    pages.post(reverse("welcome-again"))
    assert len(mailoutbox) == 1


def test_welcome_email_while_pubsub_is_down_can_be_asked_for_later(pages, pubsub_down):
    response = pages.post(reverse("welcome-again"), follow=True)
    assert "Please try again in a moment" in text(response)
    assert "is on its way" not in text(response)


def test_log_out_ends_the_session(pages):
    pages.post(reverse("logout"))
    assert pages.get(reverse("gang-list")).status_code == 302


def test_gang_is_created_for_the_player(pages, player, campaign):
    response = pages.post(reverse("gang-create"), {"name": "Saints", "campaign": campaign.pk})
    gang = Gang.objects.get()
    assert response.url == gang.get_absolute_url()
    assert (gang.owner, gang.campaign) == (player, campaign)
    assert AnalyticsEvent.objects.get().data == {"gang": str(gang.pk)}


def test_gang_is_created_even_if_its_event_cannot_be_queued(pages, pubsub_down):
    response = pages.post(reverse("gang-create"), {"name": "Saints"})
    assert response.url == Gang.objects.get().get_absolute_url()


def test_gang_without_a_name_is_refused(pages):
    assert pages.post(reverse("gang-create"), {"name": ""}).status_code == 422
    assert not Gang.objects.exists()


def test_gang_joins_a_campaign(pages, gang, campaign):
    url = reverse("gang-update", args=[gang.pk])
    pages.post(url, {"name": "Sinners", "campaign": campaign.pk})
    assert campaign.gangs.get().name == "Sinners"


def test_gang_list_shows_no_gang_of_others(pages, make):
    make.gang(name="Strangers")
    assert "Strangers" not in text(pages.get(reverse("gang-list")))


def test_names_are_escaped(pages, player, make):
    gang = make.gang(owner=player, name="<b>Bold</b>")
    assert "<b>Bold" not in text(pages.get(gang.get_absolute_url()))


def test_recruiting_rates_the_gang(pages, gang):
    response = pages.post(reverse("fighter-create", args=[gang.pk]), FIGHTER)
    recruit = gang.fighters.get(name="Vex")
    assert response.url == f"{gang.get_absolute_url()}#fighter-{recruit.pk}"
    gang.refresh_from_db()
    assert gang.rating == 50 + 100 + 5 * 4


def test_recruit_with_mistakes_is_shown_again(pages, gang):
    response = pages.post(reverse("fighter-create", args=[gang.pk]), FIGHTER | {"cost": "-1"})
    assert response.status_code == 422
    assert 'value="Vex"' in text(response)
    assert gang.fighters.count() == 1


def test_fighter_edit_without_javascript_returns_to_the_fighter(pages, gang, fighter):
    response = pages.post(reverse("fighter-update", args=[fighter.pk]), FIGHTER)
    assert response.url == f"{gang.get_absolute_url()}#fighter-{fighter.pk}"
    gang.refresh_from_db()
    assert gang.rating == 120


def test_fighter_edit_with_javascript_is_answered_with_parts(pages, gang, fighter):
    response = pages.post(reverse("fighter-update", args=[fighter.pk]), FIGHTER, headers=FRAGMENTS)
    ids = re.findall(
        r'^<(?:li|section) id="([\w-]+)"|^    <div id="(messages)"', text(response), re.M
    )
    assert [first or second for first, second in ids] == [
        f"fighter-{fighter.pk}",
        "summary",
        "messages",
    ]
    assert '<dd id="rating">120</dd>' in text(response)
    assert "<html" not in text(response)


@pytest.mark.parametrize("headers", [{}, FRAGMENTS])
def test_fighter_edit_with_mistakes_keeps_what_was_typed(pages, fighter, headers):
    data = FIGHTER | {"name": "Nox", "xp": "many"}
    response = pages.post(reverse("fighter-update", args=[fighter.pk]), data, headers=headers)
    assert response.status_code == 422
    assert 'value="Nox"' in text(response)
    assert "<details open>" in text(response)
    assert f"<h3>{fighter.name} " in text(response)
    fighter.refresh_from_db()
    assert fighter.name != "Nox"


@pytest.mark.parametrize("headers", [{}, FRAGMENTS])
def test_fighter_edit_while_pubsub_is_down_is_kept(pages, gang, fighter, pubsub_down, headers):
    url = reverse("fighter-update", args=[fighter.pk])
    response = pages.post(url, FIGHTER, headers=headers, follow=True)
    assert response.status_code == 200
    assert "Saved. The rating could not be queued" in text(response)
    assert "Work it out now" in text(response)
    fighter.refresh_from_db()
    assert fighter.name == "Vex"


@pytest.mark.parametrize("headers", [{}, FRAGMENTS])
def test_gang_refresh_catches_up(pages, gang, headers):
    gang.touch()
    response = pages.post(reverse("gang-refresh", args=[gang.pk]), headers=headers, follow=True)
    assert '<dd id="rating">50</dd>' in text(response)
    assert "data-poll" not in text(response)


def test_gang_whose_rating_is_due_is_polled(pages, gang):
    gang.touch()
    url = reverse("gang-live", args=[gang.pk])
    assert f'data-poll="{url}"' in text(pages.get(gang.get_absolute_url()))
    live = text(pages.get(url))
    assert f'data-poll="{url}"' in live
    assert 'id="messages"' not in live  # or a message would be gone before it is read


def test_retired_fighter_leaves_the_rating(pages, gang, fighter):
    gang.touch()
    response = pages.post(reverse("fighter-delete", args=[fighter.pk]), follow=True)
    assert "has left the gang" in text(response)
    gang.refresh_from_db()
    assert gang.rating == 0
    assert not Fighter.objects.exists()


@pytest.mark.parametrize(
    "name", ["gang-update", "gang-refresh", "fighter-create", "fighter-update", "fighter-delete"]
)
def test_gang_of_another_player_cannot_be_changed(pages, make, name):
    gang = make.gang((50, 0), name="Strangers")
    pk = gang.fighters.get().pk if name in {"fighter-update", "fighter-delete"} else gang.pk
    assert pages.post(reverse(name, args=[pk]), FIGHTER).status_code == 403
    assert gang.fighters.get().name != "Vex"


def test_gang_of_another_player_is_shown_without_forms(pages, make):
    gang = make.gang((50, 0))
    page = text(pages.get(gang.get_absolute_url()))
    assert "Recruit" not in page
    assert "<details" not in page


@pytest.mark.parametrize("name", ["gang-refresh", "campaign-refresh", "report-create"])
def test_changing_page_refuses_get(pages, name):
    assert pages.get(reverse(name, args=[Gang().pk])).status_code == 405


def test_campaign_is_created_for_the_player(pages, player):
    pages.post(reverse("campaign-create"), {"name": "Winter"})
    assert Campaign.objects.get().owner == player


def test_campaign_shows_gangs_by_rating(pages, campaign, make):
    for name, rating in (("Low", 10), ("High", 30), ("Middle", 20)):
        make.gang(name=name, campaign=campaign, rating=rating)
    page = text(pages.get(campaign.get_absolute_url()))
    assert page.index("High") < page.index("Middle") < page.index("Low")


def test_campaign_page_needs_the_same_queries_for_many_gangs(
    pages, campaign, make, django_assert_num_queries
):
    for _ in range(12):
        make.gang((10, 0), campaign=campaign)
    with django_assert_num_queries(5):  # session, user, campaign, gangs, reports
        pages.get(campaign.get_absolute_url())


@pytest.mark.parametrize("headers", [{}, FRAGMENTS])
def test_campaign_refresh_rates_its_gangs(pages, campaign, make, headers):
    gang = make.gang((70, 0), campaign=campaign)
    url = reverse("campaign-refresh", args=[campaign.pk])
    response = pages.post(url, headers=headers, follow=True)
    assert response.status_code == 200
    gang.refresh_from_db()
    assert gang.rating == 70
    assert "data-poll" not in text(response)


def test_campaign_refresh_while_pubsub_is_down_says_so(pages, campaign, pubsub_down):
    response = pages.post(reverse("campaign-refresh", args=[campaign.pk]), follow=True)
    assert "The ratings could not be queued. Please try again." in text(response)


@pytest.mark.parametrize("headers", [{}, FRAGMENTS])
def test_exported_report_can_be_downloaded(pages, campaign, headers):
    url = reverse("report-create", args=[campaign.pk])
    response = pages.post(url, headers=headers, follow=True)
    report = campaign.reports.get()
    link = reverse("report-download", args=[report.pk])
    assert f'href="{link}"' in text(response)
    download = pages.get(link)
    assert download["Content-Disposition"] == 'attachment; filename="winter.pdf"'
    assert download.content.startswith(b"%PDF")


def test_export_while_pubsub_is_down_says_so_and_can_be_repeated(pages, campaign, pubsub_down):
    url = reverse("report-create", args=[campaign.pk])
    for attempts in (1, 2):
        response = pages.post(url, follow=True)
        assert response.status_code == 200
        assert "The report could not be queued. Please export again." in text(response)
        assert campaign.reports.filter(status="failed").count() == attempts


def test_export_while_another_is_being_written_waits_for_that(pages, campaign):
    CampaignReport.objects.create(campaign=campaign)
    response = pages.post(reverse("report-create", args=[campaign.pk]), follow=True)
    assert campaign.reports.count() == 1
    assert "<progress" in text(response)
    assert "data-poll" in text(response)
    assert '<meta http-equiv="refresh"' in text(response)


def test_export_after_one_that_was_lost_starts_another(pages, campaign):
    lost = CampaignReport.objects.create(campaign=campaign)
    long_ago = timezone.now() - timedelta(hours=1)
    CampaignReport.objects.filter(pk=lost.pk).update(requested_at=long_ago)
    pages.post(reverse("report-create", args=[campaign.pk]))
    assert campaign.reports.count() == 2


def test_report_that_is_not_ready_cannot_be_downloaded(pages, campaign):
    report = CampaignReport.objects.create(campaign=campaign)
    assert pages.get(reverse("report-download", args=[report.pk])).status_code == 404


def test_report_whose_file_is_gone_is_not_found(pages, campaign):
    pages.post(reverse("report-create", args=[campaign.pk]))
    report = campaign.reports.get()
    report.file.storage.delete(report.file.name)
    assert pages.get(reverse("report-download", args=[report.pk])).status_code == 404


@pytest.mark.parametrize("name", ["campaign-refresh", "report-create"])
def test_campaign_of_another_player_cannot_be_changed(pages, make, name):
    campaign = make.campaign()
    assert pages.post(reverse(name, args=[campaign.pk])).status_code == 403
    assert not campaign.reports.exists()


def test_post_without_its_token_is_refused(client, player, campaign):
    strict = client.__class__(enforce_csrf_checks=True)
    strict.force_login(player)
    url = reverse("report-create", args=[campaign.pk])
    assert strict.post(url).status_code == 403


@pytest.mark.parametrize("model", ["gang", "campaign", "campaignreport", "analyticsevent", "user"])
def test_admin_lists(client, db, make, model):
    client.force_login(make.user(is_staff=True, is_superuser=True))
    assert client.get(reverse(f"admin:core_{model}_changelist")).status_code == 200
