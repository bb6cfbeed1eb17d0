"""The emulator's live page in Chromium, with a push endpoint that answers as told."""

import json
import re
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser import CONTRAST, launched, overflow, playwright
from tests.processes import running

NARROW = {"width": 380, "height": 760}
PROJECT = "projects/demo"
TOPIC = f"{PROJECT}/topics/demo-gyrinx-tasks-recalculate-list-costs"
SUBSCRIPTION = f"{TOPIC.replace('topics', 'subscriptions')}-sub"
NAME = SUBSCRIPTION.rpartition("/")[2]
DEAD = f"{PROJECT}/topics/demo-gyrinx-tasks-dead-letter"
DEAD_SUBSCRIPTION = f"{PROJECT}/subscriptions/demo-gyrinx-tasks-dead-letter-sub"
ONCE_A_SECOND = 1.0
MARKUP = "<img src=x onerror=\"document.body.id = 'owned'\">"
HAUNTED = "<script>document.body.id = 'owned'</script>"

expect = playwright.expect
expect.set_options(timeout=20_000)


class Rest:
    """The emulator over REST."""

    def __init__(self, url):
        self.url = url

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def create_topic(self, name=TOPIC):
        self("PUT", f"/v1/{name}", {})

    def subscribe(self, endpoint=None, *, name=SUBSCRIPTION, topic=TOPIC, **fields):
        """Push there, or pull; a failed delivery is repeated at once."""
        push = {"pushConfig": {"pushEndpoint": endpoint}} if endpoint else {}
        retry = {"retryPolicy": {"minimumBackoff": "0s", "maximumBackoff": "0s"}}
        self("PUT", f"/v1/{name}", {"topic": topic, **push, **retry, **fields})

    def publish(self, count=1, *, topic=TOPIC, **attributes):
        messages = [{"attributes": attributes or {"task_name": "recalculate_list_costs"}}] * count
        return self("POST", f"/v1/{topic}:publish", {"messages": messages})["messageIds"]

    def add_fault(self, **fault):
        self("POST", "/emulator/faults", fault)

    def acknowledged(self):
        """How many messages were, by the emulator's own account."""
        status = self("GET", "/emulator/status")
        return sum(one["acknowledged"] for one in status["subscriptions"])


class Sink(ThreadingHTTPServer):
    """A push endpoint."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}/tasks/pubsub/"
        self.answers = []  # used up first; then `status`
        self.status = 204


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        sink = self.server
        self.send_response(sink.answers.pop(0) if sink.answers else sink.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def sink():
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rest(emulator):
    rest = Rest(emulator.url)
    rest("POST", "/emulator/reset")
    return rest


@pytest.fixture(scope="module")
def chromium():
    with launched() as browser:
        yield browser


@pytest.fixture
def browsing(chromium):
    """A context manager: browsing(url, **options) is a page in a fresh profile.

    The test fails if the page asked another host for something, or if a script or a policy
    complained.
    """

    @contextmanager
    def browsing(url, **options):
        complaints, requested = [], []

        def note(message):
            if message.type in {"error", "warning"} and "CONNECTION_REFUSED" not in message.text:
                complaints.append(message.text)

        context = chromium.new_context(**options)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(url)
        yield page
        context.close()
        assert complaints == []
        assert [one for one in requested if not one.startswith((f"{url}/", "data:"))] == []

    return browsing


@pytest.fixture
def page(rest, browsing):
    with browsing(rest.url) as page:
        yield page


def rows(page, region):
    return page.get_by_role("region", name=region).locator("tbody tr")


def total(page, name):
    return page.locator(".totals div", has_text=name).locator("dd")


def polls_during(page, seconds):
    """How often the page asked in this time."""
    asked = []

    def note(request):
        asked.append(request.url)

    page.on("request", note)
    page.wait_for_timeout(seconds * 1000)
    page.remove_listener("request", note)
    return len(asked)


def test_delivery_is_shown_with_task_answer_attempt_and_time(rest, sink, page):
    rest.create_topic()
    rest.subscribe(sink.url)
    [message_id] = rest.publish(task_name="recalculate_list_costs", task_id="0192-abc")
    row = rows(page, "Last deliveries")
    expect(row).to_have_count(1)
    expect(row.get_by_role("rowheader")).to_have_text("recalculate_list_costs0192-abc")
    when, place, attempt, answer, took, happened = row.get_by_role("cell").all()
    expect(when).to_have_text(re.compile(r"^(now|\d s ago)$"))
    expect(when).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"))
    expect(place).to_have_text(f"{NAME}message {message_id}")
    expect(attempt).to_have_text("1")
    expect(answer).to_have_text("✓ 204")
    expect(took).to_have_text(re.compile(r"^[\d.,]+ ms$"))
    expect(happened).to_have_text("")
    expect(total(page, "Acknowledged")).to_have_text("1")


def test_failed_push_and_its_retry_are_shown(rest, sink, page):
    sink.answers = [500]
    rest.create_topic()
    rest.subscribe(sink.url)
    rest.publish()
    row = rows(page, "Last deliveries")
    expect(row).to_have_count(2)
    retry, failure = row.all()
    expect(retry).to_contain_text("✓ 204")
    expect(retry.get_by_role("cell").nth(2)).to_have_text("2")
    expect(failure).to_contain_text("✗ 500acknowledged since")
    expect(failure.get_by_role("cell").nth(2)).to_have_text("1")


def test_unreachable_endpoint_is_no_answer_and_says_why(rest, page):
    rest.create_topic()
    rest.subscribe("http://127.0.0.1:9/", ackDeadlineSeconds=600)
    rest.publish()
    row = rows(page, "Last deliveries").first
    expect(row).to_contain_text("✗ no answer")
    expect(row.get_by_role("cell").last).to_have_text(re.compile("connect", re.IGNORECASE))


def test_dead_letter_is_shown_with_its_attempts_and_last_answer(rest, sink, page):
    sink.status = 500
    rest.create_topic()
    rest.create_topic(DEAD)
    rest.subscribe(name=DEAD_SUBSCRIPTION, topic=DEAD)
    policy = {"deadLetterTopic": DEAD, "maxDeliveryAttempts": 5}
    rest.subscribe(sink.url, deadLetterPolicy=policy)
    [message_id] = rest.publish()
    row = rows(page, "Dead letters")
    expect(row).to_have_count(1)
    expect(row.get_by_role("rowheader")).to_have_text("recalculate_list_costs")
    _, place, attempts, answer, _ = row.get_by_role("cell").all()
    expect(place).to_have_text(f"{NAME}message {message_id}")
    expect(attempts).to_have_text("5")
    expect(answer).to_have_text("✗ 500")
    expect(total(page, "Dead letters")).to_have_text("1")
    expect(rows(page, "Last deliveries").first).to_contain_text("now a dead letter")


def test_injected_fault_is_marked_as_on_purpose(rest, sink, page):
    rest.add_fault(kind="push.fail", count=1, status=429)
    rest.create_topic()
    rest.subscribe(sink.url)
    rest.publish()
    row = rows(page, "Last deliveries")
    expect(row).to_have_count(2)
    expect(row.first).not_to_contain_text("on purpose")
    expect(row.last).to_contain_text("✗ 429")
    expect(row.last).to_contain_text("on purpose: push.fail")


def test_active_faults_are_listed(rest, page):
    rest.add_fault(kind="push.delay", rate=0.25, seconds=2)
    rest.add_fault(kind="publish.error", count=3, resource=TOPIC, status=429)
    row = rows(page, "Faults on purpose")
    expect(row).to_have_count(2)
    expect(row.first).to_have_text(re.compile(r"^push.delay25 % of pusheseverywhere2(\.0)? s$"))
    name = TOPIC.rpartition("/")[2]
    expect(row.last).to_have_text(f"publish.errorevery publish, 3 more{name}status 429")
    expect(page.get_by_text(re.compile(r"Decided by --seed \d+"))).to_be_visible()


def test_backlog_is_in_the_table_the_totals_and_the_title(rest, page):
    rest.create_topic()
    rest.subscribe()
    rest.publish(3)
    row = rows(page, "Subscriptions")
    expect(row.get_by_role("rowheader")).to_have_text(f"{NAME}pull")
    expect(row.get_by_role("cell").nth(1)).to_have_text("3")
    expect(total(page, "Waiting")).to_have_text("3")
    expect(page).to_have_title("(3) Pub/Sub emulator")


def test_pulled_message_is_in_flight_until_acknowledged(rest, page):
    rest.create_topic()
    rest.subscribe()
    rest.publish()
    pulled = rest("POST", f"/v1/{SUBSCRIPTION}:pull", {"maxMessages": 1})
    expect(total(page, "In flight")).to_have_text("1")
    ack_ids = [one["ackId"] for one in pulled["receivedMessages"]]
    rest("POST", f"/v1/{SUBSCRIPTION}:acknowledge", {"ackIds": ack_ids})
    expect(total(page, "In flight")).to_have_text("0")
    expect(rows(page, "Last deliveries")).to_contain_text("✓ acknowledged")


def test_topic_without_subscription_is_said_to_lose_messages(rest, page):
    rest.create_topic()
    rest.subscribe()
    rest.create_topic(f"{PROJECT}/topics/forgotten")
    notice = page.get_by_text("what is published there is lost: forgotten.")
    expect(notice).to_be_visible()
    rest("DELETE", f"/v1/{PROJECT}/topics/forgotten")
    expect(notice).to_be_hidden()


def test_deleted_subscription_leaves_the_table(rest, page):
    rest.create_topic()
    rest.subscribe()
    rest.subscribe(name=f"{PROJECT}/subscriptions/another")
    row = rows(page, "Subscriptions")
    expect(row.get_by_role("rowheader")).to_have_text(["anotherpull", f"{NAME}pull"])
    rest("DELETE", f"/v1/{SUBSCRIPTION}")
    expect(row.get_by_role("rowheader")).to_have_text(["anotherpull"])


def test_empty_page_says_what_to_do_next(emulator, page):
    expect(page.get_by_text(f"export PUBSUB_EMULATOR_HOST={emulator.host}")).to_be_visible()
    expect(page.get_by_text(f"curl http://{emulator.host}/emulator/faults")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)


def test_header_says_what_is_unlike_google(rest, page):
    rest.create_topic()
    expect(page.locator("#about")).to_have_text(re.compile(r"^project demo · up .+ · time factor"))
    expect(page.locator("#about")).not_to_contain_text("clock stopped")
    rest("POST", "/emulator/clock", {"frozen": True})
    try:
        expect(page.locator("#about")).to_contain_text("time factor 0.02 · clock stopped")
    finally:
        rest("POST", "/emulator/clock", {"frozen": False})


def test_page_updates_without_a_reload(rest, sink, page):
    page.evaluate("document.body.dataset.same = 'yes'")
    rest.create_topic()
    rest.subscribe(sink.url)
    for count in (1, 2):
        rest.publish()
        expect(rows(page, "Last deliveries")).to_have_count(count)
    assert page.evaluate("document.body.dataset.same") == "yes"


def test_selected_text_stays_selected_while_other_rows_come(rest, sink, page):
    rest.create_topic()
    rest.subscribe(sink.url)
    rest.publish(task_id="select-me")
    page.get_by_text("select-me").select_text()
    rest.publish(5)
    expect(rows(page, "Last deliveries")).to_have_count(6)
    assert page.evaluate("getSelection().toString()") == "select-me"


def test_markup_in_attributes_is_shown_and_not_run(rest, sink, page):
    rest.create_topic()
    rest.subscribe(sink.url)
    rest.publish(task_name=MARKUP, task_id=HAUNTED)
    expect(rows(page, "Last deliveries").get_by_role("rowheader")).to_have_text(MARKUP + HAUNTED)
    assert page.locator("table img, table script").count() == 0
    assert page.evaluate("document.body.id") == ""


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/emulator/page.css", "text/css"),
        *(
            (f"/emulator/{name}.js", "text/javascript")
            for name in ("page", "rows", "table", "words")
        ),
    ],
)
def test_file_of_the_page_is_served_with_a_strict_policy(emulator, path, content_type):
    with urllib.request.urlopen(f"{emulator.url}{path}", timeout=20) as response:
        headers = response.headers
    assert headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"


def test_page_refuses_to_be_given_markup(emulator, chromium):
    """Whoever will write innerHTML in it finds out at once, in Chromium at least."""
    page = chromium.new_page()
    page.goto(emulator.url)
    refused = page.evaluate(
        """() => {
          try { document.createElement("p").innerHTML = "<b>bold</b>"; return null; }
          catch (error) { return error.name; }
        }"""
    )
    page.close()
    assert refused == "TypeError"


def fill(rest, sink):
    """Something in each part of the page."""
    sink.status = 500
    rest.create_topic()
    rest.create_topic(DEAD)
    rest.subscribe(name=DEAD_SUBSCRIPTION, topic=DEAD)
    policy = {"deadLetterTopic": DEAD, "maxDeliveryAttempts": 5}
    rest.subscribe(sink.url, deadLetterPolicy=policy)
    rest.add_fault(kind="push.fail", count=1)
    rest.add_fault(kind="push.delay", resource=DEAD_SUBSCRIPTION)
    rest.publish(task_name="x" * 190, task_id=" ".join("y" * 190))
    rest.create_topic(f"{PROJECT}/topics/{'forgotten' * 20}")


def test_narrow_screen_never_scrolls_sideways(rest, sink, browsing):
    with browsing(rest.url, viewport=NARROW) as page:
        expect(page.get_by_text("export PUBSUB")).to_be_visible()
        assert overflow(page) <= 0
        fill(rest, sink)
        expect(rows(page, "Dead letters")).to_have_count(1)
        assert overflow(page) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(rest, sink, browsing, scheme):
    with browsing(rest.url, color_scheme=scheme) as page:
        expect(page.get_by_text("export PUBSUB")).to_be_visible()
        assert page.evaluate(CONTRAST) == []
        fill(rest, sink)
        expect(rows(page, "Dead letters")).to_have_count(1)
        assert page.evaluate(CONTRAST) == []


def test_keyboard_reaches_what_scrolls_and_focus_is_visible(rest, sink, page):
    fill(rest, sink)
    expect(rows(page, "Dead letters")).to_have_count(1)
    page.locator("body").click(position={"x": 1, "y": 1})
    focused = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        focused.add(page.evaluate("document.activeElement.getAttribute('aria-labelledby')"))
        style = "getComputedStyle(document.activeElement).outlineWidth"
        assert page.evaluate(style) == "3px"
        if "faults-title" in focused:
            break
    assert focused >= {f"{part}-title" for part in ("subscriptions", "deliveries", "dead-letters")}
    # Chromium lets people scroll any of these by key, other browsers only those that say so.
    expect(page.locator('[role=region]:not([tabindex="0"])')).to_have_count(0)


def test_tables_have_names_and_scoped_headers(rest, sink, page):
    fill(rest, sink)
    expect(rows(page, "Dead letters")).to_have_count(1)
    expect(page.get_by_role("table")).to_have_count(4)
    for table in page.get_by_role("table").all():
        expect(table.locator("caption")).not_to_be_empty()
        expect(table.locator("th:not([scope])")).to_have_count(0)
        expect(table.locator("tbody tr").first.get_by_role("rowheader")).to_have_count(1)


def test_paused_page_asks_for_nothing_until_resumed(rest, page):
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    page.wait_for_timeout(200)  # what was asked before
    assert polls_during(page, 2.5 * ONCE_A_SECOND) == 0
    rest.create_topic()
    rest.subscribe()
    page.get_by_role("button", name="Resume").click()
    expect(rows(page, "Subscriptions")).to_have_count(1)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def test_page_that_is_not_looked_at_asks_for_nothing(rest, page):
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    show = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    page.evaluate(show % "true")
    page.wait_for_timeout(200)  # what was asked before
    assert polls_during(page, 2.5 * ONCE_A_SECOND) == 0
    page.evaluate(show % "false")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert polls_during(page, 2.5 * ONCE_A_SECOND) >= 2


def test_page_asks_again_only_after_the_answer(rest, page):
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    held = []

    def hold(route):
        held.append(route)

    page.route("**/emulator/status", hold)
    page.wait_for_timeout(3.5 * ONCE_A_SECOND * 1000)
    assert len(held) == 1
    held[0].continue_()
    page.wait_for_timeout(2.5 * ONCE_A_SECOND * 1000)
    assert len(held) == 2


def test_page_says_when_the_emulator_is_gone_and_recovers(browsing):
    command = (sys.executable, "-m", "asgi_tasks.emulator", "--port")
    with running(*command, "0") as process:
        url = process.wait_for(r"listening on (http://\S+)")[1]
        rest = Rest(url)
        rest.create_topic()
        rest.subscribe()
        rest.publish(2)
        with browsing(url) as page:
            expect(total(page, "Waiting")).to_have_text("2")
            assert process.stop() == 0
            trouble = page.get_by_role("status")
            expect(trouble).to_contain_text("does not answer")
            expect(page).to_have_title("No answer · Pub/Sub emulator")
            expect(total(page, "Waiting")).to_have_text("2")
            with running(*command, url.rpartition(":")[2]):
                expect(trouble).to_be_empty()
                expect(total(page, "Waiting")).to_have_text("0")
                expect(page).to_have_title("Pub/Sub emulator")


def test_status_stays_small_whatever_was_published(rest, sink):
    rest.create_topic()
    rest.subscribe(sink.url)
    many = {f"a{number}": "v" * 1000 for number in range(98)}
    rest.publish(task_name="last", **many, task_id="too")
    deadline = time.monotonic() + 20
    while not (deliveries := rest("GET", "/emulator/status")["deliveries"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    attributes = deliveries[0]["attributes"]
    assert attributes["task_name"] == "last"
    assert attributes["task_id"] == "too"
    assert len(attributes) == 10
    assert max(map(len, attributes.values())) == 200
