"use strict";
// The live page: asks for the status once a second, while somebody looks, and shows it.

const PERIOD = 1000;
const PATIENCE = 5000;
const TITLE = "Pub/Sub emulator";
const find = (id) => document.getElementById(id);

let timer;
let polling = false;
let paused = false;
let seenAt = null;

async function poll() {
  clearTimeout(timer);
  if (polling || paused || document.hidden) return;
  polling = true;
  try {
    const status = await read();
    if (paused) return;
    if (status) show(status);
    showState(status ? "live" : "gone");
  } finally {
    polling = false;
    timer = setTimeout(poll, PERIOD);
  }
}

/** The status, or null when there is no answer. */
async function read() {
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const response = await fetch("/emulator/status", { cache: "no-store", signal });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

function showState(state) {
  document.body.dataset.state = state;
  if (state === "live") seenAt = new Date();
  if (state === "gone") document.title = `No answer · ${TITLE}`;
  set(find("state"), "textContent", { live: "Live", paused: "Paused", gone: "No answer" }[state]);
  const since = seenAt ? ` What is below is from ${seenAt.toLocaleTimeString()}.` : "";
  const trouble = `The emulator at ${location.host} does not answer; trying again every second.`;
  set(find("trouble"), "textContent", state === "gone" ? trouble + since : "");
}

function show(status) {
  const projects = words.projects(status);
  const pulled = status.subscriptions.filter((one) => one.push_endpoint === null);
  const context = { now: status.now, projects, pulled: new Set(pulled.map(({ name }) => name)) };
  showAbout(status, projects);
  showTotals(status.subscriptions);
  showLost(status.topics, projects);
  showTable("subscriptions", status.subscriptions, rows.subscription, context);
  showTable("deliveries", status.deliveries, rows.delivery, context);
  showTable("dead_letters", status.dead_letters, rows.deadLetter, context);
  showTable("faults", status.faults, rows.fault, context);
  find("seed").hidden = status.faults.length === 0;
  set(find("seed"), "textContent", `Decided by --seed ${status.seed}.`);
}

function showAbout(status, projects) {
  const named = projects.length > 3 ? [`${projects.length} projects`] : projects;
  const facts = [
    projects.length > 3 ? named[0] : `project ${named.join(", ")}`,
    `up ${words.span(words.seconds(status.started_at, status.now))}`,
    status.time_factor !== 1 && `time factor ${status.time_factor}`,
    status.enforce_iam && "IAM enforced",
    status.frozen && "clock stopped",
  ];
  set(find("about"), "textContent", facts.filter(Boolean).join(" · "));
}

function showTotals(subscriptions) {
  const total = (name) => subscriptions.reduce((sum, one) => sum + one[name], 0);
  for (const name of ["waiting", "outstanding", "acknowledged", "dead_lettered"]) {
    set(find(name), "textContent", words.number(total(name)));
    find(name).classList.toggle("zero", total(name) === 0);
  }
  const waiting = total("waiting");
  document.title = waiting ? `(${words.number(waiting)}) ${TITLE}` : TITLE;
}

function showLost(topics, projects) {
  const names = topics
    .filter((topic) => topic.subscriptions.length === 0)
    .map((topic) => words.short(topic.name, projects));
  const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
  find("lost").hidden = names.length === 0;
  const text = `No subscription, so what is published there is lost: ${names.slice(0, 10).join(", ")}`;
  set(find("lost"), "textContent", `${text}${more}.`);
}

function showTable(id, things, row, context) {
  const body = find(id);
  const section = body.closest("section");
  section.querySelector(".scroll").hidden = things.length === 0;
  section.querySelector(".empty").hidden = things.length > 0;
  fill(body, things.map((thing) => row(thing, context)));
}

find("pause").addEventListener("click", () => {
  paused = !paused;
  find("pause").textContent = paused ? "Resume" : "Pause";
  if (paused) showState("paused");
  poll();
});
document.addEventListener("visibilitychange", poll);
for (const host of document.querySelectorAll(".host")) host.textContent = location.host;
poll();
