"""The site as people meet it: Chromium, Daphne's runserver, the tasks run at once."""

import re
import sys
from pathlib import Path

import pytest

from tests.browser import CONTRAST, launched, overflow, playwright
from tests.processes import free_port, python, running, wait_until_listening

SMALL = {"width": 360, "height": 640}
PASSWORD = "a long enough passphrase"


class Site:
    """A server with the sample data and a database of its own."""

    def __init__(self, process, url):
        self.process = process
        self.url = url


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    var = tmp_path_factory.mktemp("var")
    env = {"DJANGO_SETTINGS_MODULE": "gyrinx.settings", "GYRINX_VAR": str(var)}
    python("manage.py", "migrate", "--verbosity", "0", env=env)
    python("manage.py", "load_sample", env=env)
    port = free_port()
    command = (sys.executable, "manage.py", "runserver", "--noreload", str(port))
    with running(*command, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until_listening(process, f"{url}/health/live")
        yield Site(process, url)


@pytest.fixture(scope="module")
def chromium():
    with launched() as browser:
        yield browser


@pytest.fixture
def open_page(site, chromium):
    """A page in a fresh profile. The test fails if a script or a policy complained."""
    contexts = []
    complaints = []

    def note(message):
        expected = re.search("status of 422|ERR_INTERNET_DISCONNECTED", message.text)
        if message.type in {"error", "warning"} and not expected:
            complaints.append(message.text)

    def open_page(**options):
        context = chromium.new_context(base_url=site.url, **options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def log_in(page):
    page.goto("/accounts/login/")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.wait_for_url("**/gangs/")
    return page


def open_gang(page, name):
    log_in(page).get_by_role("link", name=name).click()
    page.wait_for_url("**/gangs/*-*/")
    return page


def open_campaign(page):
    log_in(page).goto("/campaigns/")
    page.get_by_role("link", name="Winter in the Sump").click()
    page.wait_for_url("**/campaigns/*-*/")
    return page


def test_signing_up_prints_the_welcome_email_at_once(site, open_page):
    page = open_page()
    page.goto("/")
    page.get_by_role("main").get_by_role("link", name="Sign up").click()
    page.get_by_label("Username").fill("grace")
    page.get_by_label("E-mail address").fill("grace@example.com")
    page.get_by_label("Password", exact=False).first.fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/gangs/")
    site.process.wait_for(r"Subject: Welcome to Gyrinx[\s\S]*To: grace@example\.com", timeout=5)
    assert page.get_by_role("button", name="Log out grace").is_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_editing_a_fighter_updates_fighter_and_rating(open_page, javascript):
    page = open_gang(open_page(java_script_enabled=javascript), "Lamplighters")
    fighter = page.locator(".fighter").nth(1 + javascript)
    page.locator("body").evaluate("body => body.dataset.same = 'yes'")
    fighter.locator("summary").first.click()
    fighter.get_by_label("Name").fill(f"Iron Wren {javascript}")
    xp = fighter.get_by_label("Experience")
    before = int(xp.input_value())
    rating = page.locator("#rating")
    rating_before = int(rating.inner_text().replace(",", ""))
    xp.fill(str(before + 10))
    fighter.get_by_role("button", name="Save").click()
    playwright.expect(fighter).to_contain_text(f"Iron Wren {javascript}")
    playwright.expect(rating).to_have_text(f"{rating_before + 50:,}")
    stayed = page.locator("body").evaluate("body => body.dataset.same === 'yes'")
    assert stayed is javascript


def test_mistake_in_a_fighter_is_shown_in_place_and_focused(open_page):
    page = open_gang(open_page(), "Lamplighters")
    fighter = page.locator(".fighter").first
    fighter.locator("summary").first.click()
    fighter.locator("form").first.evaluate("form => form.noValidate = true")
    fighter.get_by_label("Cost in credits").fill("-1")
    fighter.get_by_role("button", name="Save").click()
    cost = fighter.get_by_label("Cost in credits")
    playwright.expect(cost).to_have_attribute("aria-invalid", "true")
    playwright.expect(cost).to_be_focused()
    playwright.expect(cost).to_have_value("-1")


def test_edit_while_the_server_is_away_says_so(open_page):
    page = open_gang(open_page(), "Lamplighters")
    fighter = page.locator(".fighter").first
    fighter.locator("summary").first.click()
    fighter.get_by_label("Kills").fill("9")
    page.context.set_offline(True)
    fighter.get_by_role("button", name="Save").click()
    playwright.expect(page.get_by_role("status")).to_contain_text("could not be sent")
    playwright.expect(fighter.get_by_label("Kills")).to_have_value("9")


@pytest.mark.parametrize("javascript", [True, False])
def test_exported_report_is_linked_and_downloads_as_pdf(open_page, javascript):
    page = open_campaign(open_page(java_script_enabled=javascript))
    links = page.get_by_role("link", name="Download PDF")
    before = links.count()
    page.get_by_role("button", name="Export report").click()
    playwright.expect(links).to_have_count(before + 1)
    with page.expect_download() as download:
        links.first.click()
    assert download.value.suggested_filename == "winter-in-the-sump.pdf"
    pdf = Path(download.value.path()).read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert re.search(rb"/Type /Page\b", pdf)


def test_refreshing_ratings_keeps_the_page(open_page):
    page = open_campaign(open_page())
    page.locator("body").evaluate("body => body.dataset.same = 'yes'")
    with page.expect_response("**/refresh/") as response:
        page.get_by_role("button", name="Refresh ratings").click()
    assert response.value.status == 200
    playwright.expect(page.locator("#ratings tbody tr")).to_have_count(6)
    assert page.locator("body").get_attribute("data-same") == "yes"


def test_keyboard_alone_logs_in_and_edits_a_fighter(open_page):
    page = open_page()
    page.goto("/accounts/login/")
    playwright.expect(page.get_by_label("Username")).to_be_focused()
    press = page.keyboard.press
    page.keyboard.type("demo")
    press("Tab")
    page.keyboard.type("demo")
    press("Enter")
    page.wait_for_url("**/gangs/")
    press("Tab")
    playwright.expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    press("Enter")
    press("Tab")
    playwright.expect(page.get_by_role("link", name="New gang")).to_be_focused()
    press("Tab")
    press("Enter")
    page.wait_for_url("**/gangs/*-*/")
    fighter = page.locator(".fighter").first
    summary = fighter.locator("summary").first
    for _ in range(12):
        press("Tab")
        if summary.evaluate("element => element === document.activeElement"):
            break
    press("Enter")
    press("Tab")
    playwright.expect(fighter.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Keys")
    press("Enter")
    playwright.expect(fighter.locator("h3")).to_contain_text("Keys")
    playwright.expect(summary).to_be_focused()


def test_focus_is_visible(open_page):
    page = open_page()
    page.goto("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "3px"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_screen_never_scrolls_sideways(open_page, scheme):
    page = open_page(viewport=SMALL, color_scheme=scheme)
    for path in ("/", "/accounts/sign-up/", "/accounts/login/"):
        page.goto(path)
        assert overflow(page) <= 0, path
    open_gang(page, "Lamplighters")
    page.locator(".fighter summary").first.click()
    assert overflow(page) <= 0
    for path in ("/gangs/", "/gangs/new/", "/campaigns/"):
        page.goto(path)
        assert overflow(page) <= 0, path
    page.get_by_role("link", name="Winter in the Sump").click()
    assert overflow(page) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(open_page, scheme):
    page = open_page(color_scheme=scheme)
    open_gang(page, "Lamplighters")
    for summary in page.locator(".fighter").first.locator("summary").all():
        summary.click()
    assert page.evaluate(CONTRAST) == []
    page.goto("/campaigns/")
    page.get_by_role("link", name="Winter in the Sump").click()
    assert page.evaluate(CONTRAST) == []
