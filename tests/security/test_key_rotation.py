"""docs/how-to/rotate-the-signing-key.md, carried out: messages and dead letters are under way."""

import json
import urllib.request

from tests.sites import TIMEOUT

PUBSUB = "v1/projects/tests"
SIGNED = ("task_id", "task_name", "signature")


def call(emulator, path, **body):
    request = urllib.request.Request(
        f"{emulator.url}/{PUBSUB}/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        return json.load(response)


def take_dead_letter(site):
    """The next message among the dead letters, taken from there."""
    subscription = "subscriptions/test-site-dead-letter-sub"

    def pull():
        answer = call(site.emulator, f"{subscription}:pull", maxMessages=1)
        return answer.get("receivedMessages")

    [received] = site.wait_until(pull)
    call(site.emulator, f"{subscription}:acknowledge", ackIds=[received["ackId"]])
    return received["message"]


def signed_part(message):
    """What a dead letter and the message it was have in common."""
    attributes = {name: message["attributes"][name] for name in SIGNED}
    return {"data": message["data"], "attributes": attributes}


def replay(site, dead_letter):
    """Publish a dead letter to its task's topic again, as it is; the new message's id."""
    answer = call(
        site.emulator, "topics/test-site-fail:publish", messages=[signed_part(dead_letter)]
    )
    return answer["messageIds"][0]


def statuses(site, message_id):
    """Of a message's deliveries, once it is a dead letter."""

    def dead():
        found = site.emulator.messages()
        return next(
            (m for m in found if (m.message_id, m.state) == (message_id, "dead_lettered")), None
        )

    return [delivery.status for delivery in site.wait_until(dead).deliveries]


def hold(site, name):
    """Push nothing of a task any more; the next site's provisioning does again."""
    call(site.emulator, f"subscriptions/test-site-{name}-sub:modifyPushConfig", pushConfig={})


def answers(site, *task_ids):
    """Of each task's deliveries that reached a site, once all have ended."""
    records = site.wait_until_settled(*task_ids)
    found = ([delivery["status"] for delivery in record["deliveries"]] for record in records)
    return [[status for status in statuses if status] for statuses in found]


def test_no_message_is_lost_while_the_key_is_rotated(start_site, emulator, tmp_path):
    with start_site(emulator, tmp_path, TESTS_SIGNING_KEYS="old") as site:
        site.enqueue("fail")
        dead_letter = take_dead_letter(site)
        assert len(site.effects("fail")) == 5
        hold(site, "add")
        waiting = [site.enqueue("add", a=number, b=0) for number in range(5)]

    with start_site(emulator, tmp_path, TESTS_SIGNING_KEYS="new,old") as site:
        assert answers(site, *waiting) == [[204]] * 5
        assert statuses(site, replay(site, dead_letter)) == [500] * 5
        assert len(site.effects("fail")) == 10
        assert signed_part(take_dead_letter(site)) == signed_part(dead_letter)
        hold(site, "add")
        waiting = [site.enqueue("add", a=number, b=0) for number in range(5, 10)]

    with start_site(emulator, tmp_path, TESTS_SIGNING_KEYS="new") as site:
        assert answers(site, *waiting) == [[204]] * 5
        assert sorted(effect["result"] for effect in site.effects("add")) == [*range(10)]
        assert statuses(site, replay(site, dead_letter)) == [403] * 5
        assert len(site.effects("fail")) == 10
        assert signed_part(take_dead_letter(site)) == signed_part(dead_letter)
        assert site.process.output.count("the signature of a fail message is wrong") == 5
        assert dead_letter["attributes"]["signature"] not in site.process.output
