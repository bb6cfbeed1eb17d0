"""The documentation's site as a reader sees it, in a real Chromium, on a phone and on a desktop."""

import functools
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser import CONTRAST, launched, overflow
from tests.processes import ROOT

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, and its address."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-d", f"{folder}-trees"]
    subprocess.run([*command, ROOT / "docs", folder], check=True, timeout=120)
    handler = functools.partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(params=SIZES)
def page(request, browser):
    width, height = SIZES[request.param]
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        yield context.new_page()


def test_pages_fit_the_screen_and_ask_nobody_else(page, site):
    folder, url = site
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path in sorted(folder.rglob("*.html")):
        page.goto(f"{url}/{path.relative_to(folder)}")
        assert overflow(page) == 0, path
    assert len(asked) > 100
    assert [each for each in asked if not each.startswith((url, "data:"))] == []


def test_search_finds_a_page(page, site):
    _, url = site
    page.goto(f"{url}/search.html?q=dead+letter")
    page.get_by_text("Search finished").wait_for()
    found = page.locator("#search-results li a").all_inner_texts()
    assert "Delivery" in found
    assert page.locator("#search-results li p.context").first.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(page, site, scheme):
    _, url = site
    page.emulate_media(color_scheme=scheme)
    for path in ("index.html", "reference/checks.html", "how-to/install.html"):
        page.goto(f"{url}/{path}")
        assert page.evaluate(CONTRAST) == [], path
