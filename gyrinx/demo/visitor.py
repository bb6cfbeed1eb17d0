"""A person with a browser, without the browser: what `demo --once` does on the site."""

import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

from . import NO_PROXY, DemoError


class Visitor:
    def __init__(self, site):
        self.site = site
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(
            NO_PROXY, urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def open(self, path, fields=None):
        """The path one ends at: after a form, where the site sends one next."""
        data = urllib.parse.urlencode(fields).encode() if fields is not None else None
        try:
            with self.opener.open(urllib.parse.urljoin(self.site, path), data, 15) as response:
                return urllib.parse.urlsplit(response.url).path
        except urllib.error.HTTPError as error:
            raise DemoError(f"{path} answered {error.code}") from error

    def submit(self, path, **fields):
        tokens = [cookie.value for cookie in self.cookies if cookie.name == "csrftoken"]
        return self.open(path, {"csrfmiddlewaretoken": tokens[0], **fields})


def play(site, name="visitor"):
    """Whatever makes gyrinx enqueue: an account, a gang, a changed fighter, a report, ratings."""
    visitor = Visitor(site)
    for path in ("/", "/static/core/site.css", "/accounts/sign-up/"):
        visitor.open(path)
    password = "a-long-walk-underhive"  # noqa: S105  of an account that is thrown away
    visitor.submit(
        "/accounts/sign-up/",
        username=name,
        email=f"{name}@gyrinx.example",
        password1=password,
        password2=password,
    )
    campaign = visitor.submit("/campaigns/new/", name="The demo")
    gang = visitor.submit("/gangs/new/", name="The visitors", campaign=campaign.split("/")[-2])
    fighter = {"name": "Mad Dog", "type": "leader", "cost": 120, "kills": 0, "xp": 2}
    visitor.submit(f"{gang}fighters/", **fighter)
    visitor.submit(f"{campaign}reports/")
    visitor.submit(f"{campaign}refresh/")
