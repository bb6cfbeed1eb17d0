"""What gyrinx does after the answer.

Delivery is at least once, so every task may run twice, and may come after its row was deleted:
then it raises Discard, for trying again would not bring the row back.
"""

import asyncio
import logging
import uuid

from django.core.files.base import ContentFile
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, Sum
from django.tasks import task
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from asgi_tasks import Discard

from .models import (
    CREDITS_FOR_EXPERIENCE,
    AnalyticsEvent,
    Campaign,
    CampaignReport,
    Fighter,
    Gang,
    User,
)
from .reports import render_report

logger = logging.getLogger(__name__)


@task
def send_welcome_email(user_id):
    """Greet a new player, once."""
    with transaction.atomic():
        # The lock makes a second delivery wait for the first, and find it done.
        user = User.objects.select_for_update().filter(pk=user_id).first()
        if user is None:
            raise Discard(f"user {user_id} is gone")
        if user.welcomed_at:
            return
        body = render_to_string("core/welcome_email.txt", {"user": user})
        EmailMessage("Welcome to Gyrinx", body, to=[user.email]).send()
        user.welcomed_at = timezone.now()
        user.save(update_fields=["welcomed_at"])


@task
async def recalculate_list_costs(list_id):
    """Work out a gang's rating from its fighters."""
    gang = await Gang.objects.filter(pk=list_id).only("revision").afirst()
    if gang is None:
        raise Discard(f"gang {list_id} is gone")
    # Read after the revision, so at least as new; and an older run never overwrites a newer.
    total = await Fighter.objects.filter(gang_id=gang.pk).aaggregate(
        rating=Sum(F("cost") + CREDITS_FOR_EXPERIENCE * F("xp"), default=0)
    )
    await Gang.objects.filter(pk=gang.pk, rated_revision__lte=gang.revision).aupdate(
        rating=total["rating"], rated_revision=gang.revision
    )
    return total["rating"]


@task
async def refresh_campaign(campaign_id):
    """Work out the rating of every gang in a campaign, each in a task of its own."""
    if not await Campaign.objects.filter(pk=campaign_id).aexists():
        raise Discard(f"campaign {campaign_id} is gone")
    gangs = Gang.objects.filter(campaign_id=campaign_id).values_list("pk", flat=True)
    async with asyncio.TaskGroup() as group:
        async for pk in gangs:
            group.create_task(recalculate_list_costs.aenqueue(list_id=str(pk)))


@task(takes_context=True)
def generate_campaign_report(context, report_id):
    """Write a campaign's PDF. Its name is the report's, so a second run replaces the file."""
    report = CampaignReport.objects.select_related("campaign__owner").filter(pk=report_id).first()
    if report is None:
        raise Discard(f"report {report_id} is gone")
    if report.is_ready and report.file.storage.exists(report.file.name):
        return report.file.name
    report.status = CampaignReport.Status.RUNNING
    report.started_at = timezone.now()
    report.task_id = context.task_result.id
    report.save(update_fields=["status", "started_at", "task_id"])
    try:
        pdf = render_report(report)
        report.file.save(report.filename, ContentFile(pdf), save=False)
    except Exception:
        fail_report(report, "Something went wrong. It is tried again shortly.")
        raise
    report.status = CampaignReport.Status.READY
    report.error = ""
    report.finished_at = timezone.now()
    report.save(update_fields=["status", "error", "file", "finished_at"])
    return report.file.name


def fail_report(report, error):
    """Tell whoever waits, unless another run has finished it meanwhile."""
    unfinished = CampaignReport.objects.filter(pk=report.pk).exclude(
        status=CampaignReport.Status.READY
    )
    unfinished.update(status=CampaignReport.Status.FAILED, error=error)


@task
async def log_analytics_event(event_id, name, user_id, data, happened_at):
    """Keep one event. Its id is made by the caller, so a second delivery adds nothing."""
    if user_id is not None and not await User.objects.filter(pk=user_id).aexists():
        user_id = None
    event = AnalyticsEvent(
        pk=uuid.UUID(event_id),
        name=name,
        user_id=user_id,
        data=data,
        happened_at=parse_datetime(happened_at),
    )
    await AnalyticsEvent.objects.abulk_create([event], ignore_conflicts=True)
