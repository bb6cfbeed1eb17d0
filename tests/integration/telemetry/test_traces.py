"""Traces of the site, as a collector takes them: from a request to a query."""

import re
import urllib.request

import pytest

from gyrinx.demo.visitor import play
from tests.docs.pages import blocks

RATING = "dev-gyrinx-tasks-recalculate-list-costs"
REPORT = "dev-gyrinx-tasks-generate-campaign-report"


@pytest.fixture(scope="module")
def collected_play(gyrinx, collected):
    """Somebody has used the site, and the spans of that have arrived."""
    play(gyrinx.url, "traced")
    collected.wait_for(lambda: collected.named(f"process {REPORT}-sub"))
    collected.wait_for(lambda: collected.named(f"process {RATING}-sub"))
    return collected


def children(collected, span):
    return [other for other in collected.spans if other.parent_id == span.span_id]


def trace_of(collected, name):
    """The request, the enqueue and the run that a name stands for; all have to have arrived."""

    def complete():
        for run in collected.named(f"process {name}-sub"):
            by_id = {span.span_id: span for span in list(collected.spans)}
            enqueue = by_id.get(run.parent_id)
            request = enqueue and by_id.get(enqueue.parent_id)
            if request and request.kind == "SERVER" and children(collected, run):
                return request, enqueue, run
        return None

    return collected.wait_for(complete)


@pytest.mark.parametrize(
    ("name", "request_name"),
    [(RATING, "POST gangs/<uuid:pk>/fighters/"), (REPORT, "POST campaigns/<uuid:pk>/reports/")],
    ids=["coroutine", "sync"],
)
def test_one_trace_leads_from_a_request_to_a_query_of_the_task(collected_play, name, request_name):
    request, enqueue, run = trace_of(collected_play, name)
    assert (request.kind, request.name, request.parent_id) == ("SERVER", request_name, "")
    assert (enqueue.kind, enqueue.name) == ("PRODUCER", f"send {name}")
    assert (run.kind, run.name) == ("CONSUMER", f"process {name}-sub")
    assert enqueue.parent_id == request.span_id
    assert run.parent_id == enqueue.span_id
    assert run.links == (enqueue.span_id,)
    queries = children(collected_play, run)
    assert {(span.kind, span.attributes["db.system"]) for span in queries} == {
        ("CLIENT", "postgresql")
    }
    assert any("core_" in span.attributes["db.statement"] for span in queries)
    traced = {request.trace_id, enqueue.trace_id, run.trace_id} | {q.trace_id for q in queries}
    assert len(traced) == 1
    assert run.attributes["asgi_tasks.outcome"] == "succeeded"
    assert run.attributes["asgi_tasks.task.id"] == enqueue.attributes["asgi_tasks.task.id"]
    assert run.attributes["messaging.message.id"] == enqueue.attributes["messaging.message.id"]


def lines(collected, span, depth=0):
    """The tree under a span: the kind of each, its name, and the table of a query."""
    found = re.search(
        r'"((?:core|django)_\w+)"|(set_config)', span.attributes.get("db.statement", "")
    )
    table = f" {found[1] or found[2]}" if found else ""
    yield f"{'  ' * depth}{span.kind:8} {span.name}{table}"
    for child in sorted(children(collected, span), key=lambda child: child.start):
        yield from lines(collected, child, depth + 1)


def test_how_to_shows_this_trace(collected_play):
    request, _, _ = trace_of(collected_play, RATING)
    (shown,) = [block.text for block in blocks("how-to/trace.md") if block.kind == "text"]
    collected_play.wait_for(lambda: [*lines(collected_play, request)] == shown.splitlines())


def test_broker_takes_and_forwards_what_continues_the_trace(collected_play, emulator):
    _, enqueue, _ = trace_of(collected_play, RATING)
    carried = [message.attributes for message in emulator.messages()]
    (ours,) = [a for a in carried if a["task_id"] == enqueue.attributes["asgi_tasks.task.id"]]
    assert ours["googclient_traceparent"] == ours["traceparent"]
    assert f"-{enqueue.trace_id}-{enqueue.span_id}-"[1:] in ours["traceparent"]


def test_spans_tell_which_process_sent_them(collected_play):
    _, _, run = trace_of(collected_play, RATING)
    assert run.resource["service.name"] == "gyrinx"
    assert run.resource["service.instance.id"]


def test_arguments_of_tasks_are_in_no_span(collected_play):
    told = [f"{span.name} {span.attributes}" for span in collected_play.spans]
    assert not [text for text in told if "traced@gyrinx.example" in text]


def test_probes_are_in_no_trace(collected_play, gyrinx):
    for path in ("/health/live", "/health/ready", "/accounts/login/"):
        with urllib.request.urlopen(gyrinx.url + path) as answer:
            assert answer.status == 200

    def targets():
        return {span.attributes.get("http.target") for span in list(collected_play.spans)}

    collected_play.wait_for(lambda: "/accounts/login/" in targets())
    assert not {"/health/live", "/health/ready"} & targets()
