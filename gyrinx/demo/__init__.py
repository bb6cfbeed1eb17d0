"""What `manage.py demo` is made of: child processes, the emulator's record, and a visitor."""

import urllib.request

# A proxy of the environment has no business between processes of this machine.
NO_PROXY = urllib.request.ProxyHandler({})
OPENER = urllib.request.build_opener(NO_PROXY)


class DemoError(Exception):
    """Why the demo cannot go on, in one line for the person who started it."""


def fetch(url):
    with OPENER.open(url, timeout=5) as response:
        return response.read()
