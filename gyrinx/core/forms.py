from django import forms
from django.contrib.auth.forms import UserCreationForm

from .models import Campaign, Fighter, Gang, User


class SignUpForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("username", "email")


class CampaignForm(forms.ModelForm):
    class Meta:
        model = Campaign
        fields = ("name",)


class GangForm(forms.ModelForm):
    class Meta:
        model = Gang
        fields = ("name", "campaign")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["campaign"].empty_label = "None yet"


class FighterForm(forms.ModelForm):
    class Meta:
        model = Fighter
        fields = ("name", "type", "cost", "kills", "xp")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # A gang's page shows one form a fighter, and each needs ids of its own.
        self.auto_id = f"{'new' if self.instance._state.adding else self.instance.pk.hex}_%s"
