"use strict";
// One row of each table, for fill().

const rows = {
  subscription(one, { projects, now }) {
    const oldest = one.oldest_published_at;
    const pause = one.paused_until && words.span(words.seconds(now, one.paused_until));
    const cells = [
      {
        header: true,
        text: words.short(one.name, projects),
        title: one.name,
        detail: one.push_endpoint ?? "pull",
        href: `/emulator/messages?subscription=${encodeURIComponent(one.name)}`,
      },
      { text: words.short(one.topic, projects), title: one.topic },
      figure(one.waiting),
      figure(one.outstanding),
      figure(one.acknowledged, ""),
      figure(one.dead_lettered, "chip bad"),
      figure(one.expired, "chip bad"),
      { text: oldest ? words.span(words.seconds(oldest, now)) : "–", title: oldest ?? "", number: true },
      { text: one.push_window === null ? "–" : words.number(one.push_window), detail: pause ? `paused ${pause}` : "", number: true },
    ];
    return { key: one.name, cells };
  },

  delivery(one, { projects, now, pulled }) {
    const key = [one.message_id, one.subscription, one.attempt, one.sent_at, one.finished_at].join();
    const cells = [
      { text: words.ago(one.finished_at, now), title: one.finished_at },
      task(one),
      place(one, projects),
      { text: one.attempt, number: true },
      { ...words.answer(one, pulled.has(one.subscription)), detail: words.since(one) },
      { text: words.took(one), number: true },
      happened(one),
    ];
    return { key, cells };
  },

  deadLetter(one, { projects, now, pulled }) {
    const last = one.deliveries.at(-1);
    const cells = [
      { text: words.ago(last.finished_at, now), title: last.finished_at },
      task(one),
      place(one, projects),
      { text: one.attempts, number: true },
      words.answer(last, pulled.has(one.subscription)),
      happened(last),
    ];
    return { key: [one.message_id, one.subscription].join(), cells };
  },

  fault(fault, { projects }) {
    const where = fault.resource ? words.short(fault.resource, projects) : "everywhere";
    const cells = [
      { header: true, text: fault.kind, tone: "chip purpose" },
      { text: words.often(fault) },
      { text: where, title: fault.resource ?? "" },
      { text: words.how(fault) },
    ];
    return { key: JSON.stringify({ ...fault, count: null }), cells };
  },
};

const figure = (value, tone = "strong") => ({
  text: words.number(value),
  number: true,
  tone: value ? tone : "zero",
});

function task(message) {
  const { task_name: name = "–", task_id: id = "" } = message.attributes;
  return { header: true, text: name, detail: id, title: words.attributes(message) };
}

function place(one, projects) {
  const detail = `message ${one.message_id}`;
  return { text: words.short(one.subscription, projects), detail, title: one.subscription };
}

function happened({ fault, error }) {
  if (!fault) return { text: error ?? "", detail: "" };
  return { text: `on purpose: ${fault}`, tone: "chip purpose", detail: error ?? "" };
}
