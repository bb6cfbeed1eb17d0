"""dead_letters with wrong input, without rights and without a broker: a line and an exit status."""

import subprocess

import pytest
from django.core.management import CommandError, call_command

SUBSCRIBER = (
    "gcloud pubsub subscriptions add-iam-policy-binding test-site-dead-letter-sub --project=tests "
    "--member=serviceAccount:WHO_RUNS_THIS --role=roles/pubsub.subscriber"
)
PUBLISHER = (
    "gcloud pubsub topics add-iam-policy-binding test-site-add --project=tests "
    "--member=serviceAccount:WHO_RUNS_THIS --role=roles/pubsub.publisher"
)
ACTIONS = [["list"], ["show", "1"], ["replay"], ["discard", "--all", "--no-input"], ["export", "-"]]


@pytest.fixture(params=ACTIONS, ids=lambda action: action[0])
def action(request):
    return request.param


def test_missing_subscription_names_the_command_that_makes_it(box, action):
    box.delete("subscriptions/test-site-dead-letter-sub")
    done = box.run(*action)
    assert done.code == 1
    assert done.error.endswith(
        "CommandError: There is no subscription test-site-dead-letter-sub. Run provision_tasks, "
        "which makes it."
    )


def test_reader_without_the_role_is_told_which(box, action):
    box.refuse("Pull")
    done = box.run(*action)
    assert done.code == 1
    assert "Could not pull dead letters: This fault was asked for." in done.error
    assert "Missing: pubsub.subscriptions.consume" in done.error
    assert SUBSCRIBER in done.error


def test_publisher_without_the_role_is_told_which(box):
    letter = box.bury("add", 1, 2)
    box.refuse("Publish")
    done = box.run("replay")
    assert done.code == 1
    assert "Missing: pubsub.topics.publish" in done.error
    assert PUBLISHER in done.error
    assert box.waiting() == {letter.message_id}


def test_what_cannot_be_given_back_is_said_beside_the_list(box):
    letter = box.bury("add", 1, 2)
    # The first extends the lease.
    box.emulator.fault("call.delay", call="ModifyAckDeadline", seconds=0.001, count=1)
    box.refuse("ModifyAckDeadline")
    done = box.run("list")
    assert letter.message_id in done.out
    assert "Could not give dead letters back: This fault was asked for." in done.error
    assert "They are kept from other readers for up to 60 seconds more." in done.error


def test_broker_out_of_reach_is_one_line(box, action):
    command, env = box.command(*action)
    done = subprocess.run(
        command,
        env=env | {"PUBSUB_EMULATOR_HOST": "127.0.0.1:1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    notice, line = [each for each in done.stderr.splitlines() if "Replayed" not in each]
    assert notice.startswith("Reading test-site-dead-letter-sub under leases")
    assert line.startswith("CommandError: Could not pull dead letters: 503 ")
    assert done.returncode == 1


def test_development_settings_are_one_line(box, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    done = box.run("list")
    assert done.error.startswith("CommandError: These settings have no PubSubBackend in TASKS.")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["list", "--older-than", "2x"], "'2x' is not an age. Write 90s, 15m, 2h or 3d."),
        (["list", "--newer-than", "-1h"], "expected one argument"),
        (["list", "--newer-than", "999999d"], "'999999d' is not an age."),
        (["list", "--limit", "0"], "0 is not a number from 1 up"),
        (["replay", "--rate", "0"], "'0' is not a rate. Write messages a second, such as 50."),
        (["replay", "--rate", "nan"], "'nan' is not a rate."),
        (["show"], "the following arguments are required: ID"),
        ([], "the following arguments are required: ACTION"),
        (["bury"], "invalid choice: 'bury'"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, text):
    with pytest.raises(CommandError, match=r"^Error: ") as failure:
        call_command("dead_letters", *arguments)
    assert text in str(failure.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["replay", "1", "--task", "add"], "Give ids, or --task, --older-than and --newer-than"),
        (
            ["list", "--older-than", "2h", "--newer-than", "90m"],
            "Nothing is older than --older-than and newer than --newer-than.",
        ),
    ],
)
def test_arguments_that_contradict_each_other_are_one_line(arguments, text):
    with pytest.raises(CommandError) as failure:
        call_command("dead_letters", *arguments)
    assert str(failure.value).startswith(text)


def test_unknown_task_names_the_nearest(box):
    box.bury("add", 1, 2)
    done = box.run("list", "--task", "ad")
    assert (done.code, done.out) == (1, "")
    assert "CommandError: No task is named 'ad'. Did you mean 'add'?" in done.error


@pytest.mark.parametrize("option", ["--settings", "--verbosity", "--no-color"])
def test_options_of_every_command_may_come_last(option):
    value = {"--settings": ["tests.site.settings"], "--verbosity": ["0"]}.get(option, [])
    with pytest.raises(CommandError, match="Nothing is older"):
        call_command("dead_letters", "list", "--older-than=2h", "--newer-than=1h", option, *value)
