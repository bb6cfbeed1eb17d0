"""dead_letters replay: what is published, what is refused, and what is removed."""

from copy import deepcopy

import pytest

from asgi_tasks.dead_letters import DeadLetterBox, Replay, examine
from asgi_tasks.messages import PushEnvelope, TaskMessage, is_signed
from asgi_tasks.routes import get_route_table
from tests.pushes import KEY

SUBSCRIPTION = "CloudPubSubDeadLetterSourceSubscription"


def is_genuine(message, key=KEY):
    envelope = PushEnvelope(
        data=message.data,
        attributes=dict(message.attributes),
        message_id=message.message_id,
        subscription="",
    )
    return is_signed(TaskMessage.decode(message.data), envelope, [key])


def left(done):
    """The reason given for each dead letter that is left, by its message id."""
    lines = [line for line in done.error.splitlines() if " is left: " in line]
    return {line.split()[0]: line.partition(" is left: ")[2] for line in lines}


def impatient(settings):
    """Publishing is given up soon."""
    tasks = deepcopy(settings.TASKS)
    tasks["default"]["OPTIONS"]["publish_timeout"] = 0.5
    settings.TASKS = tasks


class TestGood:
    def test_message_is_published_as_it_was_and_says_whence(self, box):
        letter = box.bury("add", 1, 2, attributes={"googclient_traceparent": "00-ab-cd-01"})
        assert box.do("replay") == "Replayed 1 dead letter.\n"
        (message,) = box.pulled()
        assert message.data == letter.data
        assert dict(message.attributes) == {
            name: value
            for name, value in letter.attributes.items()
            if not name.startswith("CloudPubSub")
        } | {"replayed_from": letter.message_id}
        assert is_genuine(message)

    def test_dead_letter_is_gone(self, box):
        letter = box.bury("add", 1, 2)
        box.do("replay")
        assert box.states() == {letter.message_id: "acknowledged"}

    def test_alias_keeps_its_own_topic(self, box):
        box.bury("old_add", 1, 2)
        box.do("replay")
        assert len(box.published("old_add")) == 1
        assert box.published("add_sync") == []

    def test_ordering_key_is_kept(self, box):
        letters = [box.letter("add", number, 0, line=f"key-{number % 3}") for number in range(7)]
        box.bury_all(letters)
        box.do("replay")
        assert sorted(message.ordering_key for message in box.published()) == sorted(
            letter["ordering_key"] for letter in letters
        )

    def test_messages_of_one_ordering_key_stay_in_order(self, box):
        letters = box.bury_all([box.letter("add", number, 0, line="key") for number in range(450)])
        # Whatever does not wait for the first request overtakes it.
        box.emulator.fault("call.delay", call="Publish", seconds=0.5, count=1)
        box.do("replay")
        found = sorted(box.published(), key=lambda message: int(message.message_id))
        order = [message.attributes["replayed_from"] for message in found]
        assert order == [letter.message_id for letter in letters]

    def test_ids_select(self, box):
        by_message, by_task, other = (box.bury("add", number, 0) for number in range(3))
        box.do("replay", by_message.message_id, by_task.task_id)
        assert {m.task_id for m in box.published()} == {by_message.task_id, by_task.task_id}
        assert box.waiting() == {other.message_id}

    def test_task_selects(self, box):
        box.bury("add", 1, 2)
        other = box.bury("add_sync", 1, 2)
        box.do("replay", "--task", "add")
        assert box.waiting() == {other.message_id}

    def test_unknown_id_replays_nothing(self, box):
        letter = box.bury("add", 1, 2)
        done = box.run("replay", letter.message_id, "nobody")
        assert done.code == 1
        assert "No dead letter has the id nobody." in done.error
        assert box.published() == []
        assert box.waiting() == {letter.message_id}

    def test_dry_run_changes_nothing(self, box):
        good, forged = box.bury("add", 1, 2), box.bury("add", 3, 4, key="another")
        done = box.run("replay", "--dry-run")
        assert done.code == 1
        assert done.out == "Would replay 1 dead letter (1 add). Nothing was changed.\n"
        assert left(done).keys() == {forged.message_id}
        assert box.published() == []
        assert box.waiting() == {good.message_id, forged.message_id}

    def test_message_forwarded_twice_is_counted(self, box):
        one = box.letter("add", 1, 2)
        box.bury_all([one, one, box.letter("add", 3, 4)])
        out = box.do("replay")
        assert out.startswith("Replayed 3 dead letters. 1 of them had the task id of another")

    def test_nine_megabytes_are_replayed(self, box):
        box.bury_all([box.letter("echo", "x" * 8_900_000)])
        box.do("replay")
        assert len(box.published("echo")) == 1

    def test_with_a_rate_everything_is_replayed_too(self, box):
        box.bury_all([box.letter("add", number, 0) for number in range(30)])
        assert box.do("replay", "--rate", "200") == "Replayed 30 dead letters.\n"


class TestRefused:
    """As the push endpoint would; what is left is there for somebody to look at."""

    @pytest.mark.parametrize(
        ("task", "options", "reason"),
        [
            ("add", {"key": "another"}, "its signature is wrong"),
            ("add", {"key": None}, "its signature is missing"),
            ("add", {"attributes": {"task_name": "echo"}}, "its signature is wrong"),
            ("add", {"came_by": "test-site-echo-sub"}, "it came from projects/tests/subscr"),
            ("add", {"attributes": {SUBSCRIPTION: None}}, "it came from nobody knows where"),
            ("echo", {"came_by": "test-site-add-sub", "key": None}, "it came from projects/tests"),
            ("gone", {}, "no route is named 'gone'"),
            ("add", {"data": b"{}"}, "'v' is not a version number"),
            ("add", {"data": b'{"v": 2}'}, "message version 2 is newer than 1"),
            ("add", {"data": b"\xff"}, "not the JSON expected"),
        ],
    )
    def test_it_is_left_with_a_line(self, box, task, options, reason):
        letter = box.bury(task, 1, 2, **options)
        good = box.bury("add_sync", 1, 2)
        done = box.run("replay")
        assert (done.code, done.out) == (1, "Replayed 1 dead letter.\n")
        assert left(done)[letter.message_id].startswith(reason)
        assert box.waiting() == {letter.message_id}
        assert box.states()[good.message_id] == "acknowledged"
        assert box.published(task if task != "gone" else "add") == []

    def test_arguments_that_do_not_fit_are_left(self, box):
        letter = box.bury("add", 1, 2, 3)
        reason = left(box.run("replay"))[letter.message_id]
        assert reason == "add does not take these arguments: too many positional arguments"

    def test_open_route_needs_no_signature(self, box):
        box.bury("echo", 1, key=None)
        box.do("replay")
        assert len(box.published("echo")) == 1

    def test_former_key_is_as_good(self, box, settings):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [KEY]
        box.bury("add", 1, 2)
        box.do("replay")
        assert is_genuine(box.pulled()[0])


class TestResign:
    def test_one_is_signed_anew(self, box):
        letter, other = (box.bury("add", number, 0, key="gone") for number in range(2))
        box.do("replay", "--resign", letter.message_id)
        (message,) = box.pulled()
        assert (message.data, is_genuine(message)) == (letter.data, True)
        assert message.attributes["replayed_from"] == letter.message_id
        assert box.waiting() == {other.message_id}

    def test_first_key_signs(self, box, settings):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [KEY]
        letter = box.bury("add", 1, 2, key="gone")
        box.do("replay", "--resign", letter.message_id)
        assert is_genuine(box.pulled()[0], "new")

    @pytest.mark.parametrize(
        "more", [["--resign", "{1}"], ["{1}"], ["--task", "add"], ["--newer-than", "1h"]]
    )
    def test_it_is_for_exactly_one(self, box, more):
        letters = [box.bury("add", number, 0, key="gone") for number in range(2)]
        ids = [letter.message_id for letter in letters]
        done = box.run("replay", "--resign", ids[0], *(text.format(*ids) for text in more))
        assert (done.code, done.out, len(done.error.splitlines())) == (1, "", 1)
        assert box.waiting() == set(ids)

    def test_task_id_is_not_enough(self, box):
        """Who forges a message may give it the task id of another."""
        letter = box.bury("add", 1, 2, key="gone")
        done = box.run("replay", "--resign", letter.task_id)
        assert f"only if it is yours --resign {letter.message_id}" in done.error
        assert box.published() == []

    def test_library_vouches_for_no_other_either(self, box):
        letters = [box.bury("add", number, 0, key="gone") for number in range(2)]
        table = get_route_table("default")
        with DeadLetterBox(table) as reader:
            replay = Replay(reader, table.options.signing_keys)
            replay.run(
                (examine(one, table) for one in reader.letters(9)), resign=letters[0].message_id
            )
        assert [message.task_id for message in box.published()] == [letters[0].task_id]

    @pytest.mark.parametrize(
        ("task", "options"), [("gone", {}), ("add", {"data": b"{}"}), ("add_sync", {"data": b""})]
    )
    def test_it_mends_no_more_than_the_signature(self, box, task, options):
        attributes = {"some": "attribute"}
        letter = box.bury(task, 1, 2, key="gone", attributes=attributes, **options)
        assert box.run("replay", "--resign", letter.message_id).code == 1
        assert box.waiting() == {letter.message_id}


class TestBrokerFails:
    def test_nothing_is_removed_that_was_not_confirmed(self, box, settings):
        impatient(settings)
        letters = box.bury_all([box.letter("add", number, 0) for number in range(250)])
        box.emulator.fault("publish.error", status=503, topic="test-site-add")
        done = box.run("replay")
        assert (done.code, done.out) == (1, "Replayed 0 dead letters.\n")
        assert "Could not publish to test-site-add: 503 This fault was asked for." in done.error
        assert "may have been published all the same" in done.error
        assert box.waiting() == {letter.message_id for letter in letters}

    def test_answer_that_was_lost_is_counted_as_perhaps_published(self, box, settings):
        impatient(settings)
        letter = box.bury("add", 1, 2)
        box.emulator.fault("publish.lose_response", topic="test-site-add")
        done = box.run("replay")
        assert "1 dead letter may have been published all the same, and kept" in done.error
        assert box.waiting() == {letter.message_id}
        box.emulator.clear_faults()
        box.do("replay")
        assert len(box.published()) >= 2

    def test_fault_that_passes_is_not_noticed(self, box):
        box.bury_all([box.letter("add", number, 0) for number in range(50)])
        box.emulator.fault("publish.error", status=503, count=2)
        box.refuse("Acknowledge", status=503, count=2)
        box.refuse("Pull", status=503, count=2)
        assert box.do("replay") == "Replayed 50 dead letters.\n"

    def test_other_topics_go_on(self, box):
        letter, other = box.bury("add", 1, 2), box.bury("echo", 1)
        box.delete("topics/test-site-add")
        done = box.run("replay")
        assert done.code == 1
        assert "There is no topic test-site-add. Run provision_tasks" in done.error
        assert len(box.published("echo")) == 1
        assert box.waiting() == {letter.message_id}
        assert other.message_id not in box.waiting()

    def test_acknowledgement_that_fails_is_said(self, box):
        letter = box.bury("add", 1, 2)
        box.refuse("Acknowledge")
        done = box.run("replay")
        assert done.code == 1
        assert "1 dead letter published but not acknowledged" in done.error
        assert len(box.published()) == 1
        assert box.waiting() == {letter.message_id}

    def test_the_rest_of_a_failing_topic_is_not_tried(self, box):
        box.bury_all([box.letter("add", number, 0) for number in range(1000)])
        box.refuse("Publish")
        done = box.run("replay")
        assert "dead letters for the same topics were not tried." in done.error
        assert box.calls("Publish") <= 4 + 1  # the one that buried them
        assert len(box.waiting()) == 1000
