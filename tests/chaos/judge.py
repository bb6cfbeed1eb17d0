"""Decides from outside what became of each task: by the broker's record and the effects."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

FAILING = "never_works"  # the one kind that belongs among the dead letters
KEEPING = ("keep", "keep_sync")  # those that leave a row, too
BROKER = "the broker sent it again"
UNANSWERED = ("push.fail", "push.drop", "push.close")  # by the site


@dataclass(kw_only=True)
class Verdict:
    """What was found; each fault is a line that names its task."""

    lost: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)  # acknowledged without an effect
    wrongly_dead: list[str] = field(default_factory=list)
    uninvited: list[str] = field(default_factory=list)  # effects of what nobody published
    not_refused: list[str] = field(default_factory=list)  # published, whatever enqueue said
    counts: Counter = field(default_factory=Counter)
    kills: Counter = field(default_factory=Counter)  # by point
    doubled: Counter = field(default_factory=Counter)  # by (cause, whose)
    answers: Counter = field(default_factory=Counter)  # to pushes

    @property
    def faults(self):
        return [
            *(f"lost: {one}" for one in self.lost),
            *(f"acknowledged without an effect: {one}" for one in self.unproven),
            *(f"a dead letter that should be none: {one}" for one in self.wrongly_dead),
            *(f"an effect of what nobody published: {one}" for one in self.uninvited),
            *(f"published although refused: {one}" for one in self.not_refused),
        ]

    def __iadd__(self, other):
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            mine.update(theirs) if isinstance(mine, Counter) else mine.extend(theirs)
        return self


def judge(entries, messages, users):
    """The verdict on what a journal, a broker's record and a table of users say."""
    journal = defaultdict(list)
    for entry in entries:
        journal[entry["what"]].append(entry)
    ours = [message for message in messages if not message.topic.endswith("-dead-letter")]
    copies = {m.task_id for m in messages if m.topic.endswith("-dead-letter")}
    verdict = Verdict(
        kills=Counter(kill["point"] for kill in journal["kill"]),
        doubled=Counter(_causes(journal["effect"], journal["kill"])),
        answers=Counter(_answer(delivery) for m in ours for delivery in m.deliveries),
    )
    _judge_tasks(verdict, journal["enqueued"], ours, copies)
    _judge_messages(verdict, journal["effect"], ours, users)
    _judge_children(verdict, journal["effect"])
    _judge_refusals(verdict, journal, ours)
    _count(verdict, journal, ours)
    return verdict


def _judge_tasks(verdict, enqueued, messages, copies):
    """Each task whose enqueue returned has ended, and as it should."""
    states = defaultdict(set)
    for message in messages:
        states[message.task_id].add(message.state)
    for task in enqueued:
        found = states[task["id"]]
        name = f"{task['kind']} {task['number']}, {' and '.join(sorted(found)) or 'not published'}"
        if task["kind"] != FAILING:
            if "dead_lettered" in found:
                verdict.wrongly_dead.append(name)
            elif found != {"acknowledged"}:
                verdict.lost.append(name)
        elif found != {"dead_lettered"} or task["id"] not in copies:
            verdict.lost.append(f"{name}, {'' if task['id'] in copies else 'no '}dead letter")


def _judge_messages(verdict, effects, messages, users):
    """Each acknowledgement has its effect, and each effect its message."""
    done = {effect["id"] for effect in effects}
    for message in messages:
        if message.state == "acknowledged" and message.task_id not in done:
            verdict.unproven.append(f"{message.task} {message.task_id}")
    known = {message.task_id for message in messages}
    for effect in effects:
        if effect["id"] not in known:
            verdict.uninvited.append(f"{effect['kind']} {effect['number']}")
        if effect["kind"] in KEEPING and effect["number"] not in users:
            verdict.unproven.append(f"{effect['kind']} {effect['number']}: no row")


def _judge_children(verdict, effects):
    """What a task enqueued before its effect has been done."""
    done = {effect["number"] for effect in effects}
    for effect in effects:
        for child in effect.get("children", ()):
            if child not in done:
                verdict.lost.append(f"{child}, enqueued by a task")


def _judge_refusals(verdict, journal, messages):
    """No number of a refused task has a message or an effect.

    The record has no numbers: a push to the site says which message bears which.
    """
    known = {message.task_id for message in messages}
    published = {push["number"] for push in journal["pushed"] if push["id"] in known}
    published |= {effect["number"] for effect in journal["effect"]}
    for task in journal["refused"]:
        if task["number"] in published:
            verdict.not_refused.append(f"{task['kind']} {task['number']}")


def _causes(effects, kills):
    """Why a task was done again after each effect but its last: (cause, whose)."""
    by_victim = {kill["victim"]: kill for kill in kills}
    by_task = defaultdict(list)
    for effect in sorted(effects, key=lambda effect: effect["at"]):
        by_task[effect["id"]].append(effect)
    for runs in by_task.values():
        for run, following in pairwise(runs):
            kill = by_victim.get(run["pid"])
            if kill is None or not run["at"] <= kill["at"] <= following["at"]:
                yield BROKER, None
            else:
                yield kill["point"], "own" if kill["number"] == run["number"] else "beside"


def _answer(delivery):
    if delivery.fault in UNANSWERED:
        return delivery.fault
    if delivery.status is None:
        return "no answer" if str(delivery.error).startswith("no answer") else "connection lost"
    return str(delivery.status)


def _count(verdict, journal, messages):
    published = {message.task_id for message in messages}
    unconfirmed = {entry["id"] for entry in journal["unconfirmed"]}
    effects = [effect["id"] for effect in journal["effect"]]
    verdict.counts.update(
        {
            "enqueued": len(journal["enqueued"]),
            "unconfirmed": len(unconfirmed),
            "unconfirmed, yet published": len(unconfirmed & published),
            "refused": len(journal["refused"]),
            "pushes": sum(len(message.deliveries) for message in messages),
            "acknowledged": sum(message.state == "acknowledged" for message in messages),
            "dead letters": sum(message.state == "dead_lettered" for message in messages),
            "effects": len(effects),
            "effects doubled": len(effects) - len(set(effects)),
            "kills": len(journal["kill"]),
        }
    )
