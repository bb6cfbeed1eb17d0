"""Players, their gangs and fighters, and the campaigns in which the gangs meet."""

import uuid
from datetime import timedelta

from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Count, F, Sum
from django.urls import reverse
from django.utils import timezone

REPORT_PATIENCE = timedelta(minutes=10)  # then another may be asked for
CREDITS_FOR_EXPERIENCE = 5  # what each point of experience adds to a fighter's value


class User(AbstractUser):
    """A player."""

    email = models.EmailField("e-mail address")
    welcomed_at = models.DateTimeField(null=True, blank=True, editable=False)


class UUIDModel(models.Model):
    """Its id can be a task's argument, and be known before the row is written."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        abstract = True


class Campaign(UUIDModel):
    """A season of games between gangs."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="campaigns")
    name = models.CharField(max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name", "id")

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("campaign-detail", args=[self.pk])


class GangQuerySet(models.QuerySet):
    def with_totals(self):
        """Add `fighter_count`, `kill_count` and `xp_total`."""
        return self.annotate(
            fighter_count=Count("fighters"),
            kill_count=Sum("fighters__kills", default=0),
            xp_total=Sum("fighters__xp", default=0),
        )


class Gang(UUIDModel):
    """A list of fighters. Its rating is worked out by a task, from the fighters."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="gangs")
    campaign = models.ForeignKey(
        Campaign, models.SET_NULL, null=True, blank=True, related_name="gangs"
    )
    name = models.CharField(max_length=80)
    rating = models.PositiveIntegerField(default=0, editable=False)
    revision = models.PositiveIntegerField(default=0, editable=False)  # of its fighters
    rated_revision = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = GangQuerySet.as_manager()

    class Meta:
        ordering = ("name", "id")

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("gang-detail", args=[self.pk])

    @property
    def is_rating_due(self):
        return self.rated_revision < self.revision

    def touch(self):
        """Say that the fighters changed, in the transaction that changes them."""
        Gang.objects.filter(pk=self.pk).update(revision=F("revision") + 1)


class Fighter(UUIDModel):
    class Type(models.TextChoices):
        LEADER = "leader", "Leader"
        CHAMPION = "champion", "Champion"
        GANGER = "ganger", "Ganger"
        JUVE = "juve", "Juve"
        BRUTE = "brute", "Brute"

    gang = models.ForeignKey(Gang, models.CASCADE, related_name="fighters")
    name = models.CharField(max_length=80)
    type = models.CharField(max_length=16, choices=Type, default=Type.GANGER)
    cost = models.PositiveIntegerField("cost in credits", validators=[MaxValueValidator(1000)])
    kills = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(1000)])
    xp = models.PositiveIntegerField("experience", default=0, validators=[MaxValueValidator(1000)])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at", "id")

    def __str__(self):
        return self.name

    @property
    def value(self):
        return self.cost + CREDITS_FOR_EXPERIENCE * self.xp


class CampaignReportQuerySet(models.QuerySet):
    def in_progress(self):
        """Asked for, unfinished, and not so long ago that it must have been lost."""
        pending = (CampaignReport.Status.REQUESTED, CampaignReport.Status.RUNNING)
        return self.filter(status__in=pending, requested_at__gt=timezone.now() - REPORT_PATIENCE)


class CampaignReport(UUIDModel):
    """A PDF of a campaign, from the moment somebody asks for it."""

    class Status(models.TextChoices):
        REQUESTED = "requested", "Waiting to start"
        RUNNING = "running", "Being written"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="reports")
    requested_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    status = models.CharField(max_length=16, choices=Status, default=Status.REQUESTED)
    file = models.FileField(upload_to="reports", blank=True)
    error = models.CharField(max_length=200, blank=True)  # what to tell the person waiting
    task_id = models.CharField(max_length=64, blank=True)  # what to search the logs for
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = CampaignReportQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at",)

    def __str__(self):
        return f"{self.campaign}, {self.requested_at:%Y-%m-%d %H:%M}"

    @property
    def is_pending(self):
        return self.status in {self.Status.REQUESTED, self.Status.RUNNING}

    @property
    def is_ready(self):
        return self.status == self.Status.READY

    @property
    def filename(self):
        """The same on every attempt, so that a second run replaces the first one's file."""
        return f"{self.pk}.pdf"


class AnalyticsEvent(UUIDModel):
    """Something a person did. Nobody waits for it, and losing one hurts nobody."""

    name = models.CharField(max_length=64)
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    data = models.JSONField(default=dict)
    happened_at = models.DateTimeField()

    class Meta:
        ordering = ("-happened_at",)
        indexes = (models.Index(fields=["name", "happened_at"], name="event_name_time"),)

    def __str__(self):
        return self.name
