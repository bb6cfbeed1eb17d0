from django import template

from ..forms import FighterForm

register = template.Library()


@register.simple_tag
def fighter_form(fighter, bound_form):
    """What was typed for this fighter if it was refused, else a fresh form."""
    if bound_form and bound_form.instance.pk == fighter.pk:
        return bound_form
    return FighterForm(instance=fighter)
