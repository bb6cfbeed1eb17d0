from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from gyrinx.core.models import Campaign, Fighter, Gang, User

pytestmark = pytest.mark.django_db


def load(**options):
    out = StringIO()
    call_command("load_sample", stdout=out, **options)
    return out.getvalue()


def count():
    return [model.objects.count() for model in (User, Campaign, Gang, Fighter)]


def test_sample_prints_what_it_made_and_how_to_log_in(settings, client):
    settings.DEBUG = True
    printed = load()
    assert "Made the campaign Winter in the Sump." in printed
    assert "Log in as demo with the password demo." in printed
    assert client.login(username="demo", password="demo")


def test_sample_gangs_are_rated(settings):
    settings.DEBUG = True
    load()
    for gang in Gang.objects.all():
        assert gang.rating == sum(fighter.value for fighter in gang.fighters.all()) > 0
        assert not gang.is_rating_due


def test_sample_loaded_twice_adds_nothing(settings):
    settings.DEBUG = True
    load()
    once = count()
    assert "Made" not in load()
    assert count() == once


def test_sample_outside_development_needs_a_password():
    with pytest.raises(CommandError, match="--password"):
        load()
    assert "the password chosen" in load(password="chosen")
