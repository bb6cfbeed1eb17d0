"""A child of the tests that may not use the network: whatever tries fails."""

REFUSAL = """
import sys

def refuse(event, args):
    assert event not in ("socket.connect", "socket.bind", "socket.getaddrinfo"), (event, args)

sys.addaudithook(refuse)
"""


def refuse_sockets(folder):
    """Have Python refuse them wherever this folder is on PYTHONPATH."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(REFUSAL)
    return folder
