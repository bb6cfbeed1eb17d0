"""provision_tasks on a project: from nothing, again, and after somebody changed something."""

import json
from io import StringIO

import pytest

TOPIC = "projects/tests/topics/test-site-add"
SUBSCRIPTION = "projects/tests/subscriptions/test-site-add-sub"
DEAD_LETTERS = "projects/tests/topics/test-site-dead-letter"
LISTS = {"ListTopics": 1, "ListSubscriptions": 1, "GetIamPolicy": 1}


class TestFromNothing:
    def test_each_name_has_its_topic_and_subscription(self, project):
        project.provision()
        names = ["add", "dead-letter", "fail"]
        assert [*project.topics()] == [f"projects/tests/topics/test-site-{n}" for n in names]
        assert [*project.subscriptions()] == [
            f"projects/tests/subscriptions/test-site-{n}-sub" for n in names
        ]

    def test_push_subscription_has_what_its_route_says(self, project):
        project.provision()
        labels = {"managed-by": "asgi-tasks", "environment": "test", "route": "add"}
        assert project.topics()[TOPIC]["labels"] == labels
        assert project.subscription("add") == {
            "name": SUBSCRIPTION,
            "topic": TOPIC,
            "pushConfig": {
                "pushEndpoint": "http://127.0.0.1:1/tasks/pubsub/",
                "attributes": {"x-goog-version": "v1"},
                "oidcToken": {
                    "serviceAccountEmail": "pusher@tests.iam.gserviceaccount.com",
                    "audience": "http://127.0.0.1:1/tasks/pubsub/",
                },
            },
            "ackDeadlineSeconds": 300,
            "messageRetentionDuration": "604800s",
            "labels": labels,
            "expirationPolicy": {},
            "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
            "deadLetterPolicy": {"deadLetterTopic": DEAD_LETTERS, "maxDeliveryAttempts": 7},
            "state": "ACTIVE",
        }

    def test_dead_letters_are_pulled_and_never_expire(self, project):
        project.provision()
        subscription = project.subscription("dead-letter")
        assert "pushEndpoint" not in subscription.get("pushConfig", {})
        assert subscription["messageRetentionDuration"] == f"{31 * 86_400}s"
        assert subscription["expirationPolicy"] == {}

    def test_service_agent_has_its_grants(self, project):
        project.provision()
        assert project.has_grant(DEAD_LETTERS, "roles/pubsub.publisher")
        assert project.has_grant(SUBSCRIPTION, "roles/pubsub.subscriber")

    def test_number_that_is_given_names_the_service_agent(self, project):
        project.provision("--project-number=42")
        (binding,) = project.policy(SUBSCRIPTION)["bindings"]
        assert binding["members"][0].startswith("serviceAccount:service-42@")

    def test_grants_are_left_to_others_on_request(self, project):
        project.provision("--no-grants")
        assert not {"GetIamPolicy", "SetIamPolicy"} & project.calls().keys()
        assert project.run("--check", "--no-grants").code == 0

    def test_grants_that_were_left_to_others_are_made_when_asked(self, project):
        project.provision("--no-grants")
        project.provision()
        assert project.has_grant(SUBSCRIPTION, "roles/pubsub.subscriber")


class TestAgain:
    @pytest.mark.parametrize("routes", ["none", "two", "two_hundred"])
    def test_nothing_to_change_takes_three_calls_and_one_line(self, project, routes):
        project.use(routes)
        project.provision()
        project.calls()
        done = project.provision()
        assert project.calls() == LISTS
        assert done.out.count("\n") == 1
        assert "nothing to change" in done.out

    def test_nothing_is_changed(self, project):
        project.provision()
        before = project.everything()
        project.provision("--verify-iam", "--prune", "--force")
        assert project.everything() == before

    def test_verify_iam_reads_each_policy_once(self, project):
        project.provision()
        project.calls()
        project.provision("--verify-iam")
        assert project.calls() == LISTS | {"GetIamPolicy": 3}


PUSH = {"pushEndpoint": "https://old.example/", "oidcToken": {"serviceAccountEmail": "a@b.example"}}
DRIFT = {
    "push_config": {"pushConfig": PUSH},
    "ack_deadline_seconds": {"ackDeadlineSeconds": 60},
    "retry_policy": {"retryPolicy": {"minimumBackoff": "1s"}},
    "dead_letter_policy": {
        "deadLetterPolicy": {"deadLetterTopic": TOPIC, "maxDeliveryAttempts": 99}
    },
    "message_retention_duration": {"messageRetentionDuration": "600s"},
    "expiration_policy": {"expirationPolicy": {"ttl": "2678400s"}},
    "labels": {"labels": {"environment": "another"}},
}
UNSET = ["push_config", "retry_policy", "dead_letter_policy", "expiration_policy", "labels"]


class TestDrift:
    @pytest.fixture(autouse=True)
    def provisioned(self, project):
        project.provision()
        self.before = project.everything()

    def assert_found_and_repaired(self, project, *shown, options=()):
        check = project.run("--check", *options)
        assert check.code == 2
        assert [text for text in shown if text not in check.out] == []
        assert project.run("--dry-run", *options).code == 0
        assert project.everything() != self.before
        project.provision(*options)
        assert project.everything() == self.before
        assert project.run("--check", *options).code == 0

    @pytest.mark.parametrize("field", DRIFT)
    def test_field_that_was_changed(self, project, field):
        project.change(SUBSCRIPTION, field, **DRIFT[field])
        self.assert_found_and_repaired(
            project, f"update subscription test-site-add-sub\n      {field}"
        )

    @pytest.mark.parametrize("field", UNSET)
    def test_field_that_was_cleared(self, project, field):
        project.change(SUBSCRIPTION, field)
        self.assert_found_and_repaired(project, f"      {field}.")

    def test_labels_of_a_topic(self, project):
        project.change(TOPIC, "labels")
        self.assert_found_and_repaired(project, "labels.managed-by: not set -> asgi-tasks")

    @pytest.mark.parametrize("name", ["add", "dead-letter"])
    def test_subscription_that_was_deleted(self, project, name):
        project.delete(f"projects/tests/subscriptions/test-site-{name}-sub")
        self.assert_found_and_repaired(project, f"create subscription test-site-{name}-sub")

    def test_topic_and_subscription_that_were_deleted(self, project):
        project.delete(SUBSCRIPTION)
        project.delete(TOPIC)
        self.assert_found_and_repaired(project, "create topic", "create subscription", "grant")

    def test_dead_letter_subscription_that_expires(self, project):
        name = "projects/tests/subscriptions/test-site-dead-letter-sub"
        project.change(name, "expiration_policy")
        self.assert_found_and_repaired(project, "expiration_policy.ttl: 2678400 -> not set")

    def test_grant_on_the_dead_letter_topic(self, project):
        project.set_policy(DEAD_LETTERS)
        self.assert_found_and_repaired(project, "grant roles/pubsub.publisher")

    def test_grant_on_a_subscription_if_it_is_verified(self, project):
        project.set_policy(SUBSCRIPTION)
        assert project.run("--check").code == 0
        self.assert_found_and_repaired(
            project, "grant roles/pubsub.subscriber", options=["--verify-iam"]
        )

    def test_grant_on_a_subscription_that_changes_anyway(self, project):
        project.set_policy(SUBSCRIPTION)
        project.change(SUBSCRIPTION, "labels")
        self.assert_found_and_repaired(project, "grant roles/pubsub.subscriber")

    def test_service_url_of_the_site(self, project):
        project.use("two", service_url="https://new.example")
        done = project.provision()
        assert done.out.count("-> https://new.example/tasks/pubsub/\n") == 4
        assert project.subscription("add")["pushConfig"]["pushEndpoint"].startswith("https://new.")


class TestKept:
    def test_labels_of_others(self, project):
        project.provision()
        project.change(SUBSCRIPTION, "labels", labels={"team": "league"})
        project.provision()
        assert project.subscription("add")["labels"] == {
            "team": "league",
            "managed-by": "asgi-tasks",
            "environment": "test",
            "route": "add",
        }

    def test_bindings_of_others(self, project):
        project.provision()
        theirs = {"role": "roles/pubsub.publisher", "members": ["user:a@b.example"]}
        project.set_policy(DEAD_LETTERS, theirs)
        project.provision()
        (binding,) = project.policy(DEAD_LETTERS)["bindings"]
        assert binding["members"][0] == "user:a@b.example"
        assert len(binding["members"]) == 2

    def test_resources_of_others(self, project):
        project.create("projects/tests/topics/theirs", labels={"managed-by": "asgi-tasks"})
        project.create("projects/tests/subscriptions/theirs", topic="projects/tests/topics/theirs")
        before = project.everything()
        project.provision("--prune", "--force")
        assert before.items() <= project.everything().items()


class TestBlocked:
    def test_subscription_of_another_topic_is_left_alone_and_explained(self, project):
        project.create("projects/tests/topics/other")
        project.create(SUBSCRIPTION, topic="projects/tests/topics/other")
        done = project.run()
        assert done.code == 1
        assert "cannot change test-site-add-sub in place: its topic is" in done.error
        assert "gcloud pubsub subscriptions delete test-site-add-sub --project=tests" in done.error
        assert TOPIC not in project.topics()
        assert "projects/tests/topics/test-site-fail" in project.topics()
        assert project.run("--check").code == 2

    def test_command_that_is_shown_mends_it(self, project):
        project.provision()
        project.delete(TOPIC)
        assert "its topic was deleted" in project.run().error
        project.delete(SUBSCRIPTION)
        project.provision()
        assert project.subscription("add")["topic"] == TOPIC


class TestOutput:
    def test_lines_where_no_terminal_is(self, project):
        done = project.provision()
        assert "\r" not in done.out
        assert "[3/3] test-site-" in done.out
        assert done.out.endswith("Done: 9 changes.\n")

    def test_bar_on_a_terminal(self, project):
        class Terminal(StringIO):
            def isatty(self):
                return True

        done = project.run(stdout=Terminal())
        assert f"\r[{'#' * 30}] 3/3\nDone: 9 changes.\n" in done.out

    def test_nothing_if_it_shall_be_quiet(self, project):
        assert project.provision("--verbosity=0").out == ""

    def test_json_alone_for_machines(self, project):
        planned = json.loads(project.run("--json", "--dry-run").out)
        assert {change["outcome"] for change in planned["changes"]} == {None}
        made = json.loads(project.provision("--json").out)
        assert [change["outcome"] for change in made["changes"]] == ["done"] * 9
        again = json.loads(project.provision("--json").out)
        assert again == {
            "project": "tests",
            "environment": "test",
            "changes": [],
            "paused": [],
            "leftovers": [],
        }

    @pytest.mark.parametrize(
        "options", [["--force"], ["--project-number=a"], ["--timeout=-1"], ["--timeout=nan"]]
    )
    def test_options_that_make_no_sense_are_refused(self, project, options):
        assert project.run(*options).code == 1
        assert project.calls() == {}


def test_settings_without_the_backend_name_those_to_choose(project, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    assert "no PubSubBackend in TASKS" in project.run().error


class TestPrune:
    @pytest.fixture(autouse=True)
    def provisioned(self, project):
        project.provision()
        project.use("one")

    def set_retired(self, project, since):
        name = "projects/tests/subscriptions/test-site-fail-sub"
        labels = project.subscription("fail")["labels"] | {"asgi-tasks-retired": since}
        project.change(name, "labels", labels=labels)

    def test_leftover_is_mentioned_and_left_alone(self, project):
        done = project.provision()
        assert "left over: test-site-fail (no route needs it" in done.out
        assert project.run("--check").code == 0
        assert "asgi-tasks-retired" not in project.subscription("fail")["labels"]

    def test_leftover_is_retired_and_deleted_a_week_later(self, project):
        assert project.run("--check", "--prune").code == 2
        project.provision("--prune")
        assert len(project.subscription("fail")["labels"]["asgi-tasks-retired"]) == 10
        assert "nothing to change" in project.provision("--prune").out
        self.set_retired(project, "2026-01-01")
        project.provision("--prune")
        assert [*project.topics()] == [TOPIC, DEAD_LETTERS]
        assert len(project.subscriptions()) == 2

    def test_force_deletes_at_once(self, project):
        project.provision("--prune", "--force")
        assert len(project.topics()) == len(project.subscriptions()) == 2

    def test_route_that_returns_is_not_retired_any_more(self, project):
        project.provision("--prune")
        project.use("two")
        project.provision()
        assert "asgi-tasks-retired" not in project.subscription("fail")["labels"]


class TestPaused:
    def test_pause_clears_the_push_config_and_resume_restores_it(self, project):
        project.provision()
        before = project.everything()
        paused = project.run("add", command="task_pause")
        assert "A message waits for 604,800 s (7 days)" in paused.out
        assert "pushEndpoint" not in project.subscription("add").get("pushConfig", {})
        assert "paused already, since" in project.run("add", command="task_pause").out
        assert "Resumed test-site-add-sub" in project.run("add", command="task_resume").out
        assert project.everything() == before
        assert "is not paused" in project.run("add", command="task_resume").out

    def test_each_is_one_call_that_changes_anything(self, project):
        project.provision()
        project.calls()
        project.run("add", command="task_pause")
        assert project.calls() == {"GetSubscription": 1, "UpdateSubscription": 1}

    def test_paused_task_stays_paused_when_all_else_is_provisioned(self, project):
        project.provision()
        project.run("add", command="task_pause")
        project.change(SUBSCRIPTION, "ack_deadline_seconds", ackDeadlineSeconds=60)
        project.provision()
        assert project.subscription("add")["ackDeadlineSeconds"] == 300
        assert "pushEndpoint" not in project.subscription("add").get("pushConfig", {})
        assert "paused since" in project.run("--check").out

    @pytest.mark.parametrize("name", ["add_together", "sum_up"])
    def test_every_name_of_the_task_is_paused(self, project, name):
        project.use("after_rename")
        project.provision()
        project.run(name, command="task_pause")
        for each in ("add-together", "sum-up"):
            assert "asgi-tasks-paused" in project.subscription(each)["labels"]

    def test_unknown_name_brings_the_nearest(self, project):
        done = project.run("ad", command="task_pause")
        assert (done.code, done.error) == (1, "No task is named 'ad'. Did you mean 'add'?")
        done = project.run("zzz", command="task_resume")
        assert done.error == "No task is named 'zzz'. The names are: add, fail."

    def test_subscription_that_is_not_there_is_an_error(self, project):
        done = project.run("add", command="task_pause")
        assert (done.code, "Run provision_tasks" in done.error) == (1, True)

    def test_missing_permission_is_named(self, project):
        project.provision()
        project.refuse("UpdateSubscription")
        done = project.run("add", command="task_pause")
        assert (done.code, "pubsub.subscriptions.update" in done.error) == (1, True)
