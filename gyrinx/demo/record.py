"""What the emulator tells about each message it carried, as lines and as a table."""

import json
from datetime import datetime

from . import fetch

COLUMNS = "{:26} {:36} {:12} {:12} {:12} {:>8} {:>7}"


class Record:
    """The emulator's record, with which deliveries were shown already."""

    def __init__(self, emulator):
        self.url = f"http://{emulator}/emulator/messages"
        self.shown = set()

    def messages(self):
        return json.loads(fetch(self.url))["messages"]

    def new_lines(self):
        """One line for each message published and each delivery finished, once, in order."""
        events = sorted(event for message in self.messages() for event in events_of(message))
        for event in events:
            if event not in self.shown:
                self.shown.add(event)
                yield line(*event)


def events_of(message):
    attributes = message["attributes"]
    name, task_id = (printable(attributes.get(key, "?")) for key in ("task_name", "task_id"))
    who = f"{name:26} {task_id}"
    yield message["published_at"], "published", who, ""
    for delivery in message["deliveries"]:
        if delivery["finished_at"]:
            took = duration(delivery["sent_at"], delivery["finished_at"])
            what = f"attempt {delivery['attempt']}  {answer(delivery)}  {took} ms"
            yield delivery["finished_at"], "pushed", who, what


def printable(text):
    """Whoever publishes to the emulator chooses it, and a terminal obeys escape sequences."""
    return text if text.isprintable() else ascii(text)


def line(moment, event, who, what):
    return f"{clock(moment)}  {event:9}  {who}  {what}".rstrip()


def answer(delivery):
    return delivery["status"] or delivery.get("error") or "no answer"


def is_done(message):
    return message["state"] == "acknowledged"


def table(messages):
    yield COLUMNS.format("task", "task id", "enqueued", "pushed", "finished", "ms", "attempt")
    for message in sorted(messages, key=lambda message: message["published_at"]):
        attributes, last = message["attributes"], message["deliveries"][-1]
        yield COLUMNS.format(
            attributes["task_name"],
            attributes["task_id"],
            clock(message["published_at"]),
            clock(last["sent_at"]),
            clock(last["finished_at"]),
            duration(message["published_at"], last["finished_at"]),
            last["attempt"],
        )


def clock(timestamp):
    return datetime.fromisoformat(timestamp).astimezone().strftime("%H:%M:%S.%f")[:-3]


def duration(start, end):
    passed = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(passed.total_seconds() * 1000)
