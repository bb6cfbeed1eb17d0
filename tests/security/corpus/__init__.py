"""Requests that are wrong, or nearly so, each with the answer designed for it.

All carry a good token, and a right signature unless that is what they are about.
"""

from . import calls, fields, http, texts
from .cases import Case

GROUPS = (
    http.methods,
    http.content_types,
    http.sizes,
    texts.bodies,
    texts.encodings,
    fields.fields,
    fields.envelopes,
    calls.names,
    calls.arguments,
    calls.endings,
)
CASES: list[Case] = [case for group in GROUPS for case in group()]
