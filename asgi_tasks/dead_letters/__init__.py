"""
Dead letters: read under leases, and replayed, discarded or exported.

Nothing here loads Google's clients before DeadLetterBox is entered; the web process never does.
"""

from .box import LEASE, DeadLetterBox
from .calls import ACK_IDS
from .examining import Examined, Signature, examine
from .exporting import complete_file
from .letters import DeadLetter
from .replaying import REPLAYED_FROM, Refusal, Replay, Tally, refusal
from .selecting import Selection

__all__ = [
    "ACK_IDS",
    "LEASE",
    "REPLAYED_FROM",
    "DeadLetter",
    "DeadLetterBox",
    "Examined",
    "Refusal",
    "Replay",
    "Selection",
    "Signature",
    "Tally",
    "complete_file",
    "examine",
    "refusal",
]
