import random

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from ...models import Campaign, Fighter, Gang, User
from ...tasks import recalculate_list_costs

CAMPAIGN = "Winter in the Sump"
GANGS = {
    "demo": ("The Copper Saints", "Lamplighters"),
    "rival": ("Sisters of the Ninth Stair", "The Quiet Debt"),
    "third": ("Rust & Ruin", "Ash Street Irregulars"),
}
COSTS = {"leader": 120, "champion": 95, "ganger": 50, "juve": 25, "brute": 210}
CREW = ("leader", "champion", "ganger", "ganger", "ganger", "juve", "brute")
NAMES = (
    "Vex Harrow", "Old Marrow", "Tin Jenny", "Sal Two-Knives", "Brother Cog", "Mags Ember",
    "Half-Past Nine", "Ludo Crane", "Needle", "Ismay Vane", "Gutter Pope", "Wick",
    "Corvin Slate", "Dame Oriel", "Pike", "Hollow Tom", "Sister Null", "Bram Ketch",
)  # fmt: skip


class Command(BaseCommand):
    help = "Load a campaign with gangs to look at, and a user to log in as. Safe to run again."

    def add_arguments(self, parser):
        parser.add_argument("--password", help="of the user demo; needed unless DEBUG is on")

    def handle(self, *, password, **options):
        if not (password or settings.DEBUG):
            raise CommandError("This is no development site: give the user demo a --password.")
        with transaction.atomic():
            gangs = self.load(password or "demo")
        for gang in gangs:
            recalculate_list_costs.call(list_id=str(gang.pk))
        self.stdout.write(f"Log in as demo with the password {password or 'demo'}.")

    def load(self, password):
        users = {name: self.load_user(name) for name in GANGS}
        users["demo"].set_password(password)
        users["demo"].save(update_fields=["password"])
        campaign, made = Campaign.objects.get_or_create(name=CAMPAIGN, owner=users["demo"])
        self.report("campaign", campaign, made)
        names = [(users[owner], name) for owner, gangs in GANGS.items() for name in gangs]
        return [self.load_gang(campaign, owner, name) for owner, name in names]

    def load_user(self, username):
        defaults = {"email": f"{username}@gyrinx.example", "welcomed_at": timezone.now()}
        user, made = User.objects.get_or_create(username=username, defaults=defaults)
        if made:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        self.report("user", user, made)
        return user

    def load_gang(self, campaign, owner, name):
        gang, made = Gang.objects.get_or_create(
            name=name, owner=owner, defaults={"campaign": campaign}
        )
        self.report("gang", gang, made)
        if made:
            Fighter.objects.bulk_create(make_fighters(gang))
            gang.touch()
        return gang

    def report(self, kind, thing, made):
        self.stdout.write(f"{'Made' if made else 'Kept'} the {kind} {thing}.")


def make_fighters(gang):
    """The same fighters for a gang's name each time."""
    dice = random.Random(gang.name)  # noqa: S311 - a sample, nothing secret
    names = dice.sample(NAMES, len(CREW))
    return [
        Fighter(
            gang=gang,
            name=name,
            type=kind,
            cost=COSTS[kind] + 5 * dice.randrange(5),
            kills=dice.randrange(7),
            xp=dice.randrange(13),
        )
        for name, kind in zip(names, CREW, strict=True)
    ]
