"""The pages. A view that writes is sync and enqueues on commit; one that only enqueues is async."""

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, F, Sum
from django.http import Http404, HttpResponse
from django.shortcuts import aget_object_or_404, get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from . import actions
from .actions import enqueue_failure_explained
from .forms import CampaignForm, FighterForm, GangForm, SignUpForm
from .models import Campaign, CampaignReport, Fighter, Gang
from .tasks import recalculate_list_costs, refresh_campaign, send_welcome_email

REPORTS_SHOWN = 5
STALE_RATING = (
    "Saved. The rating could not be queued just now and is out of date: refresh it later."
)


def check_owner(user, thing):
    if thing.owner_id != user.pk:
        raise PermissionDenied


def fragments(request, context, *names, status=200):
    """Parts of a page, each with the id under which site.js finds its place."""
    if request.method == "POST":  # a poll must not wipe away what a form's answer said
        names = (*names, "core/base.html#messages")
    parts = (render_to_string(name, context, request) for name in names)
    return HttpResponse("".join(parts), status=status)


def wants_fragments(request):
    return request.headers.get("X-Requested-With") == "fragments"


@login_not_required
def sign_up(request):
    if request.user.is_authenticated:
        return redirect("gang-list")
    form = SignUpForm(request.POST or None)
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "core/sign_up.html", {"form": form}, status=status)
    sorry = "Your account is ready, but the welcome e-mail could not be queued. Ask for it below."
    with enqueue_failure_explained(request, sorry):
        actions.sign_up(request, form)
    return redirect("gang-list")


@require_POST
async def welcome_again(request):
    user = await request.auser()
    sorry = "The welcome e-mail could not be queued. Please try again in a moment."
    with enqueue_failure_explained(request, sorry):
        await send_welcome_email.aenqueue(user_id=user.pk)
        messages.success(request, f"The welcome e-mail is on its way to {user.email}.")
    return redirect("gang-list")


@require_GET
def gang_list(request):
    gangs = request.user.gangs.with_totals().select_related("campaign")
    return render(request, "core/gang_list.html", {"gangs": gangs})


def gang_create(request):
    form = GangForm(request.POST or None, instance=Gang(owner=request.user))
    if form.is_valid():
        with transaction.atomic():
            gang = form.save()
            actions.log_event("gang_created", request.user, gang=str(gang.pk))
        return redirect(gang)
    return render_form(request, form, "New gang")


def gang_update(request, pk):
    gang = get_object_or_404(Gang, pk=pk)
    check_owner(request.user, gang)
    form = GangForm(request.POST or None, instance=gang)
    if form.is_valid():
        form.save()
        return redirect(gang)
    return render_form(request, form, "Change gang", back=gang.get_absolute_url())


def render_form(request, form, title, back=None):
    context = {"form": form, "title": title, "back": back}
    return render(request, "core/form.html", context, status=422 if form.is_bound else 200)


@require_GET
@never_cache
def gang_detail(request, pk):
    return render(request, "core/gang_detail.html", gang_context(request, pk))


@require_GET
@never_cache
def gang_live(request, pk):
    return render_gang_live(request, pk)


def render_gang_live(request, pk):
    return fragments(request, gang_context(request, pk), "core/gang_detail.html#summary")


def gang_context(request, pk, **context):
    gangs = Gang.objects.with_totals().select_related("owner", "campaign")
    gang = get_object_or_404(gangs, pk=pk)
    return {
        "gang": gang,
        "fighters": gang.fighters.all(),
        "may_edit": gang.owner_id == request.user.pk,
        "new_form": FighterForm(),
        "bound_form": None,
        **context,
    }


@require_POST
async def gang_refresh(request, pk):
    gang = await aget_object_or_404(Gang, pk=pk)
    check_owner(await request.auser(), gang)
    with enqueue_failure_explained(request, "The rating could not be queued. Please try again."):
        await recalculate_list_costs.aenqueue(list_id=str(gang.pk))
    if wants_fragments(request):
        return await sync_to_async(render_gang_live)(request, pk)
    return redirect(gang)


@require_POST
def fighter_create(request, pk):
    gang = get_object_or_404(Gang, pk=pk)
    check_owner(request.user, gang)
    form = FighterForm(request.POST, instance=Fighter(gang=gang))
    if not form.is_valid():
        context = gang_context(request, pk, new_form=form)
        return render(request, "core/gang_detail.html", context, status=422)
    with enqueue_failure_explained(request, STALE_RATING):
        actions.save_fighter(form)
    return redirect(f"{gang.get_absolute_url()}#fighter-{form.instance.pk}")


@require_POST
def fighter_update(request, pk):
    """The form in a gang's page: the answer is the fighter, or without JavaScript the page."""
    fighter = owned_fighter(request, pk)
    form = FighterForm(request.POST, instance=fighter)
    valid = form.is_valid()
    if valid:
        with enqueue_failure_explained(request, STALE_RATING):
            actions.save_fighter(form)
        if not wants_fragments(request):
            return redirect(f"{fighter.gang.get_absolute_url()}#fighter-{pk}")
    # From the database, for is_valid() puts what was typed into the form's own fighter.
    context = gang_context(
        request,
        fighter.gang_id,
        fighter=Fighter.objects.get(pk=pk),
        bound_form=None if valid else form,
    )
    status = 200 if valid else 422
    if not wants_fragments(request):
        return render(request, "core/gang_detail.html", context, status=status)
    names = ("core/gang_detail.html#fighter", "core/gang_detail.html#summary")
    return fragments(request, context, *names, status=status)


@require_POST
def fighter_delete(request, pk):
    fighter = owned_fighter(request, pk)
    with enqueue_failure_explained(request, STALE_RATING):
        actions.delete_fighter(fighter)
    messages.success(request, f"{fighter} has left the gang.")
    return redirect(fighter.gang)


def owned_fighter(request, pk):
    fighter = get_object_or_404(Fighter.objects.select_related("gang"), pk=pk)
    check_owner(request.user, fighter.gang)
    return fighter


@require_GET
def campaign_list(request):
    campaigns = Campaign.objects.select_related("owner").annotate(
        gang_count=Count("gangs"), rating=Sum("gangs__rating", default=0)
    )
    return render(request, "core/campaign_list.html", {"campaigns": campaigns})


def campaign_create(request):
    form = CampaignForm(request.POST or None, instance=Campaign(owner=request.user))
    if form.is_valid():
        return redirect(form.save())
    return render_form(request, form, "New campaign")


@require_GET
@never_cache
def campaign_detail(request, pk):
    return render(request, "core/campaign_detail.html", campaign_context(request, pk))


@require_GET
@never_cache
def campaign_live(request, pk):
    return render_campaign_live(request, pk)


def render_campaign_live(request, pk):
    names = ("core/campaign_detail.html#ratings", "core/campaign_detail.html#reports")
    return fragments(request, campaign_context(request, pk), *names)


def campaign_context(request, pk):
    campaign = get_object_or_404(Campaign.objects.select_related("owner"), pk=pk)
    gangs = campaign.gangs.with_totals().select_related("owner").order_by("-rating", "name", "id")
    reports = list(campaign.reports.all()[:REPORTS_SHOWN])
    return {
        "campaign": campaign,
        "gangs": gangs,
        "best_rating": max((gang.rating for gang in gangs), default=0) or 1,
        "ratings_due": any(gang.is_rating_due for gang in gangs),
        "reports": reports,
        "reports_pending": any(report.is_pending for report in reports),
        "may_edit": campaign.owner_id == request.user.pk,
    }


@require_POST
async def campaign_refresh(request, pk):
    campaign = await aget_object_or_404(Campaign, pk=pk)
    check_owner(await request.auser(), campaign)
    # Marked first, so that the page shows the new ratings as they come in.
    await campaign.gangs.aupdate(revision=F("revision") + 1)
    with enqueue_failure_explained(request, "The ratings could not be queued. Please try again."):
        await refresh_campaign.aenqueue(campaign_id=str(campaign.pk))
    if wants_fragments(request):
        return await sync_to_async(render_campaign_live)(request, pk)
    return redirect(campaign)


@require_POST
def report_create(request, pk):
    campaign = get_object_or_404(Campaign, pk=pk)
    check_owner(request.user, campaign)
    with enqueue_failure_explained(request, "The report could not be queued. Please export again."):
        if not campaign.reports.in_progress().exists():
            actions.request_report(campaign, request.user)
    return render_campaign_live(request, pk) if wants_fragments(request) else redirect(campaign)


@require_GET
def report_download(request, pk):
    report = get_object_or_404(
        CampaignReport.objects.select_related("campaign"), pk=pk, status=CampaignReport.Status.READY
    )
    try:
        with report.file.open() as file:
            content = file.read()
    except FileNotFoundError:
        raise Http404("The file of this report is gone. Export the campaign again.") from None
    name = slugify(report.campaign.name) or "campaign"
    headers = {"Content-Disposition": f'attachment; filename="{name}.pdf"'}
    return HttpResponse(content, content_type="application/pdf", headers=headers)
