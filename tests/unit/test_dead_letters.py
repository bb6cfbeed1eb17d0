import errno
from argparse import ArgumentTypeError
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from asgi_tasks.dead_letters import DeadLetter, Selection, Tally, complete_file, examine, refusal
from asgi_tasks.dead_letters.replaying import (
    BATCH_BYTES,
    HELD_BYTES,
    Outgoing,
    Pace,
    batches,
    within_memory,
)
from asgi_tasks.management.dead_letter_arguments import age, rate
from asgi_tasks.management.dead_letters import (
    failed_lines,
    letters,
    log_command,
    printable,
    replayed_line,
)
from asgi_tasks.messages import make_attributes
from asgi_tasks.routes import get_route_table
from tests.pushes import KEY, make_message

SOURCE = "CloudPubSubDeadLetterSource"
DIED_AT = datetime(2026, 11, 23, 1, 12, 44, tzinfo=UTC)


def make_letter(task="add", *args, key=KEY, project="tests", message_id="1", **attributes):
    message = make_message(task, *(args or (1, 2)))
    data = message.encode()
    source = {
        f"{SOURCE}Subscription": f"test-site-{task.replace('_', '-')}-sub",
        f"{SOURCE}SubscriptionProject": project,
    }
    found = make_attributes(message, data, key) | source | attributes
    return DeadLetter(message_id=message_id, data=data, attributes=found, died_at=DIED_AT)


def make_examined(letter=None, **options):
    return examine(letter or make_letter(**options), get_route_table("default"))


def outgoing(size=10, topic="topic", line=""):
    letter = DeadLetter(
        message_id="1", data=b"x" * size, attributes={}, ordering_key=line, died_at=DIED_AT
    )
    return Outgoing(letter, topic, "id", {})


class TestLetter:
    @pytest.mark.parametrize(
        ("text", "count"),
        [("25", 25), ("", None), ("x", None), ("-1", None), ("٣", None), ("9" * 10, None)],
    )
    def test_attempts_are_a_number_or_not_known(self, text, count):
        letter = make_letter(**{f"{SOURCE}DeliveryCount": text})
        assert letter.delivery_attempts == count

    @pytest.mark.parametrize(
        "text",
        [
            *("", "yesterday", "2026-11-22T22:10:05"),
            *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
        ],
    )
    def test_time_that_is_none_is_not_known(self, text):
        assert make_letter(**{f"{SOURCE}TopicPublishTime": text}).published_at is None

    def test_time_is_that_of_the_topic(self):
        letter = make_letter(**{f"{SOURCE}TopicPublishTime": "2026-11-22T22:10:05.123+00:00"})
        assert letter.published_at == datetime(2026, 11, 22, 22, 10, 5, 123000, UTC)


class TestExamine:
    def test_what_the_endpoint_would_run_is_not_refused(self):
        one = make_examined()
        assert (one.signature, refusal(one)) == ("good", "")
        assert one.topic == "projects/tests/topics/test-site-add"

    def test_subscription_of_another_project_is_not_ours(self):
        assert "projects/theirs/subscriptions" in refusal(make_examined(project="theirs"))

    def test_vouching_is_for_one_id(self):
        one = make_examined(key="another")
        assert "its signature is wrong" in refusal(one)
        assert "its signature is wrong" in refusal(one, resign="2")
        assert refusal(one, resign="1") == ""

    def test_data_changed_in_a_signed_message_is_seen(self):
        letter = make_letter()
        forged = replace(letter, data=letter.data.replace(b"[1,2]", b"[1,3]"))
        assert make_examined(forged).signature == "wrong"

    def test_claims_of_an_unreadable_message_are_cut_to_what_they_may_be(self):
        letter = replace(make_letter(task_name="a b", task_id='"OR'), data=b"{")
        one = make_examined(letter)
        assert (one.message, one.task_name, one.task_id) == (None, "", "")

    def test_query_for_a_shell_is_quoted(self):
        attributes = {f"{SOURCE}Subscription": "it's"}
        letter = replace(make_letter(**attributes), data=b"{")
        command = log_command(make_examined(letter), "tests")
        assert "it'\\''s" in command
        assert command.endswith("--project=tests --freshness=40d")


class TestSelection:
    def test_nothing_given_selects_all(self):
        assert Selection().matches(make_examined())

    def test_age_is_that_of_the_dead_letter(self):
        one = make_examined()
        hour = timedelta(hours=1)
        assert Selection(died_before=DIED_AT + hour).matches(one)
        assert not Selection(died_before=DIED_AT - hour).matches(one)
        assert Selection(died_after=DIED_AT - hour).matches(one)
        assert not Selection(died_after=DIED_AT + hour).matches(one)

    def test_filters_have_to_match_together(self):
        selection = Selection(tasks=frozenset({"add"}), died_after=DIED_AT + timedelta(hours=1))
        assert not selection.matches(make_examined())

    def test_message_id_ends_the_search_and_a_task_id_does_not(self):
        one = make_examined()
        by_message, by_task = Selection(ids=frozenset({"1"})), Selection(ids={one.task_id})
        assert by_message.matches(one)
        assert by_task.matches(one)
        assert by_message.is_complete
        assert not by_task.is_complete
        assert not [*by_message.missing, *by_task.missing]

    def test_ids_that_nobody_bears_are_missing(self):
        selection = Selection(ids=frozenset({"1", "2"}))
        selection.matches(make_examined())
        assert selection.missing == ["2"]
        assert not selection.is_complete


class TestBatches:
    def test_they_are_of_one_topic_and_one_ordering_key(self):
        found = [outgoing(topic=t, line=k) for t in "ab" for k in ("", "1", "")]
        keys = [{(one.topic, one.letter.ordering_key) for one in b} for b in batches(found, 100)]
        assert sorted(map(list, keys)) == [[("a", "")], [("a", "1")], [("b", "")], [("b", "1")]]

    def test_they_are_not_too_many(self):
        assert [len(batch) for batch in batches([outgoing() for _ in range(7)], 3)] == [3, 3, 1]

    def test_they_are_not_too_large_for_a_request(self):
        found = [outgoing(size) for size in (BATCH_BYTES, 10, BATCH_BYTES // 2, BATCH_BYTES // 2)]
        assert [len(batch) for batch in batches(found, 100)] == [1, 2, 1]

    def test_memory_is_bounded(self):
        found = (outgoing(HELD_BYTES // 4) for _ in range(9))
        assert [len(held) for held in within_memory(found)] == [4, 4, 1]


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self):
        self.now = 100.0

    def sleep(self, seconds):
        self.now += seconds


class TestPace:
    @pytest.mark.parametrize(("rate", "batch"), [(0.5, 1), (20, 2), (500, 50), (1e6, 100)])
    def test_messages_are_no_more_than_the_rate(self, rate, batch):
        clock = Clock()
        pace = Pace(rate, clock=lambda: clock.now, sleep=clock.sleep)
        assert pace.batch == batch
        for _ in range(11):
            pace.wait(batch)
        assert clock.now == pytest.approx(100 + 10 * batch / rate)

    def test_time_that_was_lost_is_not_made_up_for(self):
        clock = Clock()
        pace = Pace(1, clock=lambda: clock.now, sleep=clock.sleep)
        pace.wait(1)
        clock.now += 50
        pace.wait(1)
        pace.wait(1)
        assert clock.now == 151

    def test_without_a_rate_nobody_sleeps(self):
        clock = Clock()
        pace = Pace(None, clock=lambda: clock.now, sleep=clock.sleep)
        for _ in range(100):
            pace.wait(pace.batch)
        assert clock.now == 100


class TestCompleteFile:
    def test_file_is_there_at_the_end_alone(self, tmp_path):
        path = tmp_path / "file"
        with complete_file(path, overwrite=False) as file:
            file.write("text")
            assert not path.exists()
        assert [one.name for one in tmp_path.iterdir()] == ["file"]
        assert path.read_text() == "text"

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_nothing_is_left_after_an_error(self, tmp_path, overwrite):
        with pytest.raises(KeyboardInterrupt), complete_file(tmp_path / "f", overwrite=overwrite):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_file_that_came_meanwhile_is_kept(self, tmp_path):
        path = tmp_path / "file"
        with pytest.raises(FileExistsError), complete_file(path, overwrite=False):
            path.write_text("theirs")
        assert [path.read_text() for path in tmp_path.iterdir()] == ["theirs"]

    def test_link_stays_and_leads_to_the_new_file(self, tmp_path):
        path, link = tmp_path / "file", tmp_path / "link"
        path.write_text("old")
        link.symlink_to(path)
        with complete_file(link, overwrite=True) as file:
            file.write("new")
        assert link.readlink() == path
        assert path.read_text() == "new"

    def test_link_is_there_though_it_leads_nowhere(self, tmp_path):
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "file")
        with pytest.raises(FileExistsError), complete_file(link, overwrite=False) as file:
            file.write("new")
        assert list(tmp_path.iterdir()) == [link]


@pytest.fixture
def _without_links(monkeypatch):
    """As on a file system that has no hard links, such as a mounted bucket."""

    def link(*args, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", link)


@pytest.mark.usefixtures("_without_links")
class TestCompleteFileWithoutLinks(TestCompleteFile):
    """The same."""

    def test_name_is_free_again_if_the_file_cannot_have_it(self, tmp_path, monkeypatch):
        def rename(*args, **options):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr("os.replace", rename)
        with (
            pytest.raises(OSError, match="Input/output"),
            complete_file(tmp_path / "f", overwrite=False),
        ):
            pass
        assert list(tmp_path.iterdir()) == []


class TestArguments:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90s", 90), ("15m", 900), ("15min", 900), ("1.5h", 5400), ("3d", 259200)],
    )
    def test_age(self, text, seconds):
        assert age(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "text", ["", "h", "2", "2x", "2 h", "-2h", "1e3s", "٣h", "2h3m", "400d", "999999d"]
    )
    def test_age_that_is_none(self, text):
        with pytest.raises(ArgumentTypeError, match="is not an age"):
            age(text)

    @pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1e9", "many"])
    def test_rate_that_is_none(self, text):
        with pytest.raises(ArgumentTypeError, match="is not a rate"):
            rate(text)


class TestTexts:
    def test_what_a_terminal_would_obey_is_not_printed(self):
        assert printable("\x1b[31mred\n\u202eé") == "\\x1b[31mred\\n\\u202eé"

    @pytest.mark.parametrize(
        ("number", "text"),
        [(1, "1 dead letter"), (0, "0 dead letters"), (10_000, "10,000 dead letters")],
    )
    def test_letters_are_counted(self, number, text):
        assert letters(number) == text

    def test_copies_are_said(self):
        line = replayed_line(Tally(replayed=1000, copies=3))
        assert line.startswith("Replayed 1,000 dead letters. 3 of them had the task id of another")

    def test_what_may_run_twice_is_said(self):
        text = "\n".join(failed_lines(Tally(unconfirmed=1, unacknowledged=2, untried=3)))
        assert "1 dead letter may have been published all the same" in text
        assert "2 dead letters published but not acknowledged" in text
        assert "3 dead letters for the same topics were not tried." in text
