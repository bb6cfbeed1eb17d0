"""Spans and metrics: that they follow the message, say how it ended, and cost nothing."""

from tests.mutants import Mutant

TRACING, METRICS = "tests/unit/test_tracing.py", "tests/unit/test_metrics.py"


def tracing(guard, old, new, tests, file="asgi_tasks/tracing.py"):
    return Mutant(guard=guard, file=file, old=old, new=new, tests=f"{TRACING} -k '{tests}'")


def metrics(guard, old, new, tests, file="asgi_tasks/metrics.py"):
    return Mutant(guard=guard, file=file, old=old, new=new, tests=f"{METRICS} -k '{tests}'")


MUTANTS = [
    tracing(
        "nothing of OpenTelemetry's is loaded for spans",
        'return "opentelemetry.trace" in sys.modules',
        "return True",
        "nothing_is_loaded",
    ),
    metrics(
        "nothing of OpenTelemetry's is loaded for figures",
        'if _made is None and "opentelemetry.metrics" in sys.modules:',
        "if _made is None:",
        "nothing_is_loaded",
    ),
    tracing(
        "Google's clients find the trace in a message",
        'PREFIXES: Final = ("googclient_", "")',
        'PREFIXES: Final = ("",)',
        "for_google_and_for_others or comes_before",
    ),
    tracing(
        "a wrong attribute does not hide a right one",
        "        if context.is_valid:\n            return context\n",
        "        return context if context.is_valid else None\n",
        "does_not_hide",
    ),
    tracing(
        "a run is the child of its enqueue",
        "context=parent and api.set_span_in_context(api.NonRecordingSpan(parent)),",
        "context=None,",
        "child_of_its_enqueue",
    ),
    tracing(
        "a run links to the request that brings the push",
        "request if parent else None",
        "None",
        "links_to_the_request",
    ),
    tracing(
        "an error that cannot be shown changes no answer",
        "    except Exception:  # an error may fail to show itself",
        "    except KeyError:  # an error may fail to show itself",
        "cannot_be_shown",
    ),
    tracing(
        "a span keeps the outcome of its push",
        "        if self._is_told:\n            span.add_event",
        "        if False:\n            span.add_event",
        "outlives_its_push",
    ),
    tracing(
        "a span tells that its push was given up",
        "            self._tell_span(delivery, report.outcome)\n",
        "",
        "outlives_its_push",
        file="asgi_tasks/execution.py",
    ),
    tracing(
        "an interrupted run is an error",
        "            delivery_span.tell_interrupted(error)\n",
        "            pass\n",
        "interrupted",
    ),
    tracing(
        "a redelivery that joins a run has a span",
        "        waiting = run.join(delivery)",
        "        waiting = run.wait(delivery)",
        "joins",
        file="asgi_tasks/execution.py",
    ),
    tracing(
        "Discard is no error",
        "return self not in (Outcome.SUCCEEDED, Outcome.DISCARDED)",
        "return self is not Outcome.SUCCEEDED",
        "status_of_a_run",
        file="asgi_tasks/deliveries.py",
    ),
    metrics(
        "a push is not under way for ever",
        "        made.active.add(-1, attributes)",
        "        pass",
        "active or interrupted",
    ),
    metrics(
        "only the first push tells the time in the queue",
        "    if attempt == 1:\n",
        "    if attempt:\n",
        "retry",
    ),
    Mutant(
        guard="the end does not wait for a collector that hangs",
        file="gyrinx/telemetry.py",
        old="        closing.join(FLUSH)",
        new="        closing.join()",
        tests="tests/integration/telemetry/test_broken_collector.py -k hanging",
    ),
    Mutant(
        guard="what is left is sent at the end",
        file="gyrinx/telemetry.py",
        old="    atexit.register(flush)",
        new="    pass",
        tests="tests/integration/telemetry/test_flush.py",
    ),
    Mutant(
        guard="probes are in no trace",
        file="gyrinx/telemetry.py",
        old='instrument(excluded_urls="/health/")',
        new="instrument()",
        tests="tests/integration/telemetry/test_traces.py -k probes",
    ),
]
