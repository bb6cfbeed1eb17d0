"use strict";
// How names, times and answers are written.

const ACKNOWLEDGING = [102, 200, 201, 202, 204];
const SINCE = {
  waiting: "waits for its retry",
  outstanding: "in flight again",
  acknowledged: "acknowledged since",
  dead_lettered: "now a dead letter",
  expired: "expired since",
};

const words = {
  number: (value) => value.toLocaleString("en"),

  /** projects/demo/topics/tasks is tasks; demo/tasks where there are several projects. */
  short(name, projects) {
    const [, project, , id = name] = name.split("/");
    return projects.length > 1 && project ? `${project}/${id}` : id;
  },

  /** Every project in which there is something. */
  projects(status) {
    const names = [...status.topics, ...status.subscriptions].map(({ name }) => name.split("/")[1]);
    return names.length ? [...new Set(names)].sort() : [status.project];
  },

  /** A length of time in its largest unit. */
  span(seconds) {
    if (seconds < 1) return "< 1 s";
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} days`;
  },

  ago(then, now) {
    const seconds = words.seconds(then, now);
    return seconds < 1 ? "now" : `${words.span(seconds)} ago`;
  },

  seconds: (start, end) => (micros(end) - micros(start)) / 1e6,

  took({ sent_at, finished_at }) {
    const ms = words.seconds(sent_at, finished_at) * 1000;
    return `${ms < 10 ? ms.toFixed(1) : words.number(Math.round(ms))} ms`;
  },

  /** What an endpoint answered, or whoever pulled it: in words and as a tone. */
  answer({ status, error }, pulled) {
    if (isGood({ status, error })) return { text: `✓ ${status ?? "acknowledged"}`, tone: "chip good" };
    return { text: `✗ ${status ?? (pulled ? "not acknowledged" : "no answer")}`, tone: "chip bad" };
  },

  /** What became of a message that a delivery did not end. */
  since: (delivery) => (isGood(delivery) ? "" : (SINCE[delivery.state] ?? "")),

  /** Each attribute on a line of its own. */
  attributes: (message) =>
    Object.entries(message.attributes)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\n"),

  often({ kind, rate, count }) {
    const what = kind.split(".")[0];
    const all = { publish: "publishes", push: "pushes", call: "calls" }[what];
    const which = rate === 1 ? `every ${what}` : `${words.number(rate * 100)} % of ${all}`;
    return count === null ? which : `${which}, ${words.number(count)} more`;
  },

  how({ status, seconds }) {
    return [status && `status ${status}`, seconds && `${seconds} s`].filter(Boolean).join(", ");
  },
};

function isGood({ status, error }) {
  return status === null ? !error : ACKNOWLEDGING.includes(status);
}

// Date knows milliseconds only.
function micros(moment) {
  return Date.parse(`${moment.slice(0, 19)}Z`) * 1000 + Number(moment.slice(20, 26));
}
