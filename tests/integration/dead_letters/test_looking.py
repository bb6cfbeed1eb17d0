"""dead_letters list, show and export: what they tell, and that they leave everything there."""

import base64
import json
import os
import re
import stat
from pathlib import Path

import pytest

from asgi_tasks.dead_letters import DeadLetterBox
from asgi_tasks.routes import get_route_table
from tests.pushes import make_message

from .conftest import SOURCE


def rows(box, *arguments):
    return json.loads(box.do("list", "--json", *arguments))["dead_letters"]


def ids(found):
    return [row["message_id"] for row in found]


def exported(text):
    return [json.loads(line) for line in text.splitlines()]


class TestList:
    def test_none_is_said(self, box):
        out = box.do("list")
        assert out.startswith("No dead letters. What another reader holds is not seen")

    def test_line_tells_all_there_is_to_know(self, box):
        letter = box.bury("add", 1, 2)
        head, line, logs, summary = box.do("list").splitlines()
        assert re.split(r"  +", head) == [
            *("message id", "task", "task id", "enqueued", "died", "attempts"),
            *("source subscription", "signature"),
        ]
        cells = re.split(r"  +", line)
        assert cells[:3] == [letter.message_id, "add", letter.task_id]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", cell) for cell in cells[3:5])
        assert cells[5:] == ["25", "test-site-add-sub", "good"]
        assert logs.strip() == f'logs: jsonPayload.task_id="{letter.task_id}" AND severity>=WARNING'
        assert summary == "1 dead letter (1 add). Given back."

    def test_everything_is_given_back(self, box):
        letters = box.bury_all([box.letter("add", number, 0) for number in range(30)])
        assert len(rows(box)) == 30
        assert box.waiting() == {letter.message_id for letter in letters}

    def test_reading_says_that_it_is_a_lease(self, box):
        error = box.run("list").error
        assert "other readers do not see these dead letters" in error
        assert "60 seconds after a kill" in error

    def test_what_is_not_ours_is_listed_too(self, box):
        box.bury("add", data=b"\x1b[31mhello", key=None, attributes={"task_id": None})
        box.bury("add", data=b"", attributes={"task_name": "\x1b]0;title\x07"})
        box.bury(
            "echo", data=b"\xff\xfe", attributes={"CloudPubSubDeadLetterSourceSubscription": ""}
        )
        box.bury_all([{"data": b"", "attributes": {f"{SOURCE}DeliveryCount": "x" * 1024}}])
        found = rows(box)
        assert [row["signature"] for row in found] == ["unknown"] * 4
        assert all(row["refusal"] for row in found)
        out = box.do("list")
        assert "\x1b" not in out
        assert "\x07" not in out

    def test_query_of_what_nobody_could_read_is_of_its_subscription(self, box):
        box.bury("add", data=b"{")
        (row,) = rows(box)
        subscription = "projects/tests/subscriptions/test-site-add-sub"
        assert row["log_query"].startswith(
            f'jsonPayload.outcome="refused" AND jsonPayload.subscription="{subscription}" '
            'AND timestamp>="2026-11-22T22:10:05.123+00:00" AND timestamp<="20'
        )

    @pytest.mark.parametrize(
        ("options", "signature"),
        [
            ({}, "good"),
            ({"key": "another"}, "wrong"),
            ({"key": None}, "missing"),
        ],
    )
    def test_signature_is_told(self, box, options, signature):
        box.bury("add", 1, 2, **options)
        assert rows(box)[0]["signature"] == signature

    def test_task_selects_its_aliases_too(self, box):
        of_task, of_alias = box.bury("add_sync", 1, 2), box.bury("old_add", 1, 2)
        box.bury("add", 1, 2)
        wanted = {of_task.message_id, of_alias.message_id}
        assert set(ids(rows(box, "--task", "add_sync"))) == wanted
        assert set(ids(rows(box, "--task", "old_add"))) == wanted

    def test_task_without_a_route_can_be_selected(self, box):
        gone = box.bury("gone")
        box.bury("add", 1, 2)
        assert ids(rows(box, "--task", "gone")) == [gone.message_id]

    def test_age_selects(self, box):
        letter = box.bury("add", 1, 2)
        assert ids(rows(box, "--newer-than", "1h")) == [letter.message_id]
        assert rows(box, "--older-than", "1h") == []

    def test_limit_ends_it_and_is_said(self, box):
        box.bury_all([box.letter("add", number, 0) for number in range(5)])
        done = box.run("list", "--limit", "3")
        assert "3 dead letters (3 add)." in done.out
        assert "Stopped at --limit 3: there are more dead letters." in done.error
        assert len(box.waiting()) == 5


class TestShow:
    @pytest.mark.parametrize("name", ["message_id", "task_id"])
    def test_it_is_found_by_its_id(self, box, name):
        letter = box.bury("add", 6, 7)
        box.bury("add", 8, 9)
        out = box.do("show", getattr(letter, name))
        assert letter.message_id in out
        assert re.search(r'"args": \[\s+6,\s+7\s+\]', out)
        assert '"CloudPubSubDeadLetterSourceDeliveryCount": "25"' in out
        assert re.search(r"^replay +to projects/tests/topics/test-site-add$", out, re.MULTILINE)
        assert re.search(r"^signature +good$", out, re.MULTILINE)
        assert f"""gcloud logging read 'jsonPayload.task_id="{letter.task_id}" """ in out
        assert len(box.waiting()) == 2

    def test_every_dead_letter_of_a_task_id_is_shown(self, box):
        one = box.letter("add", 1, 2)
        first, second = box.bury_all([one, one])
        out = box.do("show", first.task_id)
        assert first.message_id in out
        assert second.message_id in out

    def test_what_is_no_message_is_shown_as_it_is(self, box):
        letter = box.bury("add", data=b"\x1b[31mhello")
        out = box.do("show", letter.message_id)
        assert 'data, which is no message of ours\n    "\\u001b[31mhello"' in out
        assert re.search(r"^replay +refused: not the JSON expected", out, re.MULTILINE)

    def test_json_has_the_data(self, box):
        letter = box.bury("add", data=b"\xff")
        found = json.loads(box.do("show", letter.message_id, "--json"))
        assert base64.b64decode(found["data"]) == b"\xff"
        assert found["attributes"] == letter.attributes

    def test_unknown_id_is_one_line(self, box):
        box.bury("add", 1, 2)
        done = box.run("show", "12\x1b34")
        assert (done.code, done.out) == (1, "")
        assert (
            "CommandError: No dead letter has the id 12\\x1b34. What another reader" in done.error
        )
        assert len(box.waiting()) == 1


class TestExport:
    def test_file_has_a_json_line_for_each(self, box, tmp_path):
        letters = {one.message_id: one for one in (box.bury("add", 1, 2), box.bury("gone", "é"))}
        broken = box.bury("echo", data=b"\xff", line="key")
        box.do("export", str(tmp_path / "letters.jsonl"))
        found = {
            one["message_id"]: one for one in exported((tmp_path / "letters.jsonl").read_text())
        }
        assert found.keys() == {*letters, broken.message_id}
        for message_id, letter in letters.items():
            assert base64.b64decode(found[message_id]["data"]) == letter.data
            assert found[message_id]["message"] == json.loads(letter.data)
            assert found[message_id]["attributes"] == letter.attributes
        assert found[broken.message_id]["message"] is None
        assert found[broken.message_id]["ordering_key"] == "key"
        assert len(box.waiting()) == 3

    def test_hyphen_is_standard_output_and_nothing_else_is_there(self, box):
        letter = box.bury("add", 1, 2)
        done = box.run("export", "-", "--task", "add")
        assert [one["message_id"] for one in exported(done.out)] == [letter.message_id]
        assert "Exported 1 dead letter. Given back." in done.error

    def test_file_is_for_its_owner_alone(self, box, tmp_path):
        box.do("export", str(tmp_path / "letters.jsonl"))
        assert stat.S_IMODE((tmp_path / "letters.jsonl").stat().st_mode) == 0o600

    def test_file_that_is_there_is_kept_unless_told(self, box, tmp_path):
        path = tmp_path / "letters.jsonl"
        path.write_text("precious")
        box.bury("add", 1, 2)
        done = box.run("export", str(path))
        assert (done.code, path.read_text()) == (1, "precious")
        assert "is there already. Replace it with --overwrite." in done.error
        box.do("export", str(path), "--overwrite")
        assert len(exported(path.read_text())) == 1

    def test_there_is_no_file_after_an_error(self, box, tmp_path):
        box.bury("add", 1, 2)
        box.refuse("ModifyAckDeadline")
        assert box.run("export", str(tmp_path / "letters.jsonl")).code == 1
        assert list(tmp_path.iterdir()) == []

    def test_folder_that_is_not_there_is_one_line(self, box, tmp_path):
        done = box.run("export", str(tmp_path / "nowhere" / "letters.jsonl"))
        assert done.code == 1
        assert "CommandError: Could not write: [Errno 2] No such file or directory" in done.error

    @pytest.mark.parametrize("options", [[], ["--overwrite"]])
    def test_what_is_no_file_stays_what_it_is(self, box, tmp_path, options):
        box.bury("add", 1, 2)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        done = box.run("export", str(pipe), *options)
        (line,) = [each for each in done.error.splitlines() if each.startswith("CommandError")]
        assert (done.code, done.out) == (1, "")
        assert line == (
            f"CommandError: Could not write: {pipe} is not a file; - is standard output"
        )
        assert pipe.is_fifo()
        assert list(tmp_path.iterdir()) == [pipe]

    def test_link_to_a_device_stays_one(self, box, tmp_path):
        link = tmp_path / "link"
        link.symlink_to(os.devnull)
        assert box.run("export", str(link), "--overwrite").code == 1
        assert link.readlink() == Path(os.devnull)
        assert link.is_char_device()


class TestMomentsThatAreNotInUtc:
    """Whoever publishes to an open route writes what he likes."""

    @pytest.fixture(
        params=["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"], ids=["first", "last"]
    )
    def letters(self, box, request):
        document = json.loads(make_message("echo", 1).encode()) | {"enqueued_at": request.param}
        by_message = box.bury("echo", key=None, data=json.dumps(document).encode())
        by_attribute = box.bury(
            "echo", key=None, data=b"{", attributes={f"{SOURCE}TopicPublishTime": request.param}
        )
        return [by_message, by_attribute]

    def test_they_are_listed_as_unreadable(self, box, letters):
        found = {row["message_id"]: row for row in rows(box)}
        assert found.keys() == {letter.message_id for letter in letters}
        assert {row["signature"] for row in found.values()} == {"unknown"}
        by_message, by_attribute = (found[letter.message_id] for letter in letters)
        assert by_message["refusal"] == "'enqueued_at' is not a date and time"
        assert by_attribute["enqueued_at"] is None
        assert "2 dead letters (2 unreadable)" in box.do("list")

    def test_they_are_shown(self, box, letters):
        for letter in letters:
            assert "data, which is no message of ours" in box.do("show", letter.message_id)

    def test_they_are_exported(self, box, letters):
        found = exported(box.do("export", "-"))
        assert [base64.b64decode(one["data"]) for one in found] == [one.data for one in letters]
        assert [one["message"] for one in found] == [None, None]

    def test_they_are_left_by_a_replay_and_discarded(self, box, letters):
        assert box.run("replay").error.count(" unreadable is left: ") == 2
        assert box.waiting() == {letter.message_id for letter in letters}
        box.do("discard", "--all", "--no-input")
        assert box.waiting() == set()


def test_leases_are_extended_while_it_takes(box, emulator):
    letter = box.bury("add", 1, 2)
    with DeadLetterBox(get_route_table("default"), lease=1) as reader:
        (found,) = reader.letters(1)
        before = box.calls("ModifyAckDeadline")
        box.wait_until(lambda: box.calls("ModifyAckDeadline") >= before + 8)
        (message,) = emulator.messages(subscription="test-site-dead-letter-sub")
        assert (message.state, message.attempts) == ("outstanding", 1)
    assert found.message_id == letter.message_id
    assert box.waiting() == {letter.message_id}
