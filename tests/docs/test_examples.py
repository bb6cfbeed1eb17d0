"""Every block that a reader would type is carried out by a test, and this is which."""

from collections import Counter
from pathlib import Path

import pytest

from tests.processes import ROOT

from .pages import blocks

TESTS = ROOT / "tests"

# A page: how many blocks of each kind it has, and the tests that carry them out, or compare what
# a page shows with what really comes.
EXAMPLES = {
    "../README.md": (
        {"console": 1, "python": 5},
        # make itself: CI, and the demo it starts.
        ("docs/test_readme.py::test_example_runs", "tooling/test_demo.py"),
    ),
    "how-to/add-a-task.md": (
        {"console": 1, "diff": 2, "python": 2},
        ("docs/test_how_tos.py::test_task_that_was_added_runs",),
    ),
    "how-to/deploy.md": (
        {"console": 15},
        (
            "docs/test_deploy.py::test_page_shows_the_commands_of_the_scripts_and_no_others",
            "docs/test_deploy.py::test_calculator_says_what_the_page_shows",
            "tooling/test_deploy_scripts.py",
        ),
    ),
    "how-to/develop.md": (
        {"console": 2},
        ("docs/test_how_tos.py::test_commands_of_the_how_to_for_developers_are_known_to_make",),
    ),
    "how-to/install.md": (
        {"console": 1, "python": 6},
        ("docs/test_how_tos.py::test_installed_in_a_project_it_runs_a_task",),
    ),
    "how-to/migrate-from-a-push-view.md": (
        {"console": 2, "diff": 5, "python": 3},
        ("docs/test_migrations.py::test_push_view_becomes_a_task_and_no_order_is_lost",),
    ),
    "how-to/migrate-from-django-tasks-pubsub.md": (
        {"console": 2, "diff": 8, "python": 1},
        ("docs/test_migrations.py::test_site_of_django_tasks_pubsub_becomes_one_of_ours",),
    ),
    "how-to/read-the-logs.md": (
        {"console": 1, "json": 1, "python": 1},
        (
            "docs/test_logs.py::test_setting_of_the_page_works",
            "docs/test_logs.py::test_queries_ask_for_fields_that_lines_have",
            "docs/test_logs.py::test_log_of_the_demo_is_searched_as_shown",
        ),
    ),
    "how-to/retries-and-dead-letters.md": (
        {"console": 8, "python": 2},
        ("docs/test_dead_letters.py::test_commands_of_the_how_to_print_what_it_shows",),
    ),
    "how-to/rotate-the-signing-key.md": (
        {"python": 2},
        ("docs/test_how_tos.py::test_new_key_signs_and_the_former_one_verifies",),
    ),
    "how-to/run-under-another-server.md": (
        {"console": 1},
        ("docs/test_other_servers.py::test_task_runs_by_push",),
    ),
    "how-to/see-what-is-stuck.md": (
        {"console": 5},
        ("gyrinx/test_see_what_is_stuck.py::test_commands_show_what_the_page_shows",),
    ),
    "how-to/serve-pushes-separately.md": (
        {"console": 3},
        ("docs/test_how_tos.py::test_service_for_pushes_has_what_the_site_has",),
    ),
    "how-to/test-your-tasks.md": (
        {"python": 9},
        (
            "docs/test_testing.py::test_example_of_tests_in_process_runs",
            "docs/test_testing.py::test_example_of_a_test_case_runs_under_django",
            "docs/test_testing.py::test_failure_is_shown_as_it_is",
        ),
    ),
    "how-to/test-with-the-emulator.md": (
        {"python": 4, "toml": 1},
        (
            "docs/test_testing.py::test_example_runs",
            "docs/test_testing.py::test_options_named_are_options",
        ),
    ),
    "how-to/trace.md": (
        {"console": 1},
        # What it installs is in the lock files, and set up by gyrinx/telemetry.py.
        ("integration/telemetry/test_traces.py",),
    ),
    "how-to/watch-with-cloud-monitoring.md": (
        {"console": 2},
        (
            "integration/telemetry/test_pages.py::test_page_shows_the_commands_of_the_script_and_no_others",
        ),
    ),
    "how-to/watch-with-prometheus.md": (
        {"console": 2, "promql": 4, "python": 2},
        (
            "integration/telemetry/test_prometheus.py::test_labels_are_those_that_the_queries_name",
            "integration/telemetry/test_prometheus.py::test_queries_name_what_there_is",
        ),
    ),
    "reference/commands.md": (
        {"console": 2},
        ("gyrinx/test_see_what_is_stuck.py::test_commands_show_what_the_page_shows",),
    ),
    "reference/emulator.md": (
        {"console": 2, "json": 1},
        (
            "docs/test_reference_examples.py::test_emulator_says_where_it_listens",
            "docs/test_reference_examples.py::"
            "test_each_way_to_run_the_conformance_suite_collects_all_cases",
            "docs/test_reference_examples.py::"
            "test_record_of_a_message_has_the_fields_that_are_shown",
        ),
    ),
    "reference/messages.md": (
        {"json": 1},
        ("docs/test_reference_examples.py::test_message_that_is_shown_is_one",),
    ),
    "reference/provisioning.md": (
        {"console": 2},
        ("docs/test_reference_examples.py::test_provisioning_and_pausing_print_what_is_shown",),
    ),
    "reference/server.md": (
        {"console": 1},
        ("docs/test_how_tos.py::test_installed_in_a_project_it_runs_a_task",),
    ),
    "tutorial/add-a-task.md": (
        {"console": 6, "diff": 2, "python": 3},
        ("docs/test_tutorial.py::test_tutorial_works",),
    ),
}


NOT_TYPED = {"text"}


def found():
    """The kinds of blocks of every page that has any."""
    names = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    names += [f"../{path.name}" for path in ROOT.glob("*.md")]
    kinds = {name: Counter(block.kind for block in blocks(name)) for name in names}
    return {
        name: {kind: counted[kind] for kind in sorted(counted.keys() - NOT_TYPED)}
        for name, counted in kinds.items()
        if counted.keys() - NOT_TYPED
    }


@pytest.mark.parametrize("page", sorted(EXAMPLES.keys() | found().keys()))
def test_every_block_of_a_page_is_carried_out(page):
    registered, _ = EXAMPLES.get(page, ({}, ()))
    assert found().get(page, {}) == registered, (
        f"have a test carry them out, and say so in {__file__}"
    )


@pytest.mark.parametrize("page", EXAMPLES)
def test_registered_tests_exist_and_name_the_page(page):
    _, tests = EXAMPLES[page]
    texts = []
    for test in tests:
        path, _, name = test.partition("::")
        texts.append((TESTS / path).read_text())
        assert f"def {name}(" in texts[-1] if name else True
    if page != "../README.md":
        assert any(Path(page).name in text for text in texts)
