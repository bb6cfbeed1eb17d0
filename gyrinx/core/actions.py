"""What people do, and the tasks that follow once it is committed.

A task enqueued inside a transaction could run before the commit and not find its row.
"""

import logging
import uuid
from contextlib import contextmanager

from django.contrib import messages
from django.contrib.auth import login
from django.db import transaction
from django.utils import timezone

from asgi_tasks import EnqueueError

from .models import CampaignReport
from .tasks import (
    fail_report,
    generate_campaign_report,
    log_analytics_event,
    recalculate_list_costs,
    send_welcome_email,
)

logger = logging.getLogger(__name__)


@contextmanager
def enqueue_failure_explained(request, message):
    """Say that the work was saved but its task was not queued, instead of failing the page."""
    try:
        yield
    except EnqueueError:
        logger.exception("A task could not be queued.")
        messages.error(request, message)


def sign_up(request, form):
    with transaction.atomic():
        user = form.save()
        # Before the commit, for it writes the row that the task then locks while it sends.
        login(request, user)
        transaction.on_commit(lambda: send_welcome_email.enqueue(user_id=user.pk))


def save_fighter(form):
    with transaction.atomic():
        form.save()
        fighters_changed(form.instance.gang)


def delete_fighter(fighter):
    with transaction.atomic():
        fighter.delete()
        fighters_changed(fighter.gang)


def fighters_changed(gang):
    gang.touch()
    transaction.on_commit(lambda: recalculate_list_costs.enqueue(list_id=str(gang.pk)))


def request_report(campaign, user):
    with transaction.atomic():
        report = CampaignReport.objects.create(campaign=campaign, requested_by=user)
        transaction.on_commit(lambda: enqueue_report(report))
        log_event("report_requested", user, campaign=str(campaign.pk))


def enqueue_report(report):
    try:
        result = generate_campaign_report.enqueue(report_id=str(report.pk))
    except EnqueueError:
        fail_report(report, "It could not be queued. Please export again.")
        raise
    CampaignReport.objects.filter(pk=report.pk).update(task_id=result.id)


def log_event(name, user, **data):
    event = {
        "event_id": str(uuid.uuid4()),
        "name": name,
        "user_id": user.pk,
        "data": data,
        "happened_at": timezone.now().isoformat(),
    }
    # Robust: for an event nobody's page may fail.
    transaction.on_commit(lambda: log_analytics_event.enqueue(**event), robust=True)
