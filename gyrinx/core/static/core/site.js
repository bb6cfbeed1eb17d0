"use strict";

// Every page works without this file. With it, forms marked data-inline and sections marked
// data-poll are brought up to date in place: the answer's elements replace those of the same id.

const POLL = { first: 500, factor: 1.3, longest: 5000, tries: 40 };
let polling = false;
let sent = 0;

async function load(url, options) {
  const headers = { "X-Requested-With": "fragments" };
  const response = await fetch(url, { ...options, headers, redirect: "manual" });
  const isFragment = response.ok || response.status === 422;
  if (!isFragment) return null;
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return template.content.children;
}

function say(words) {
  const message = document.createElement("p");
  message.className = "message error";
  message.textContent = words;
  document.getElementById("messages").replaceChildren(message);
}

function show(elements) {
  for (const fresh of [...elements]) {
    const shown = document.getElementById(fresh.id);
    if (!shown) continue;
    shown.toggleAttribute("data-poll", fresh.hasAttribute("data-poll"));
    if (fresh.dataset.poll) shown.dataset.poll = fresh.dataset.poll;
    if (shown.innerHTML !== fresh.innerHTML) shown.replaceChildren(...fresh.childNodes);
  }
}

async function poll() {
  if (polling) return;
  polling = true;
  let delay = POLL.first;
  for (let tries = 0; tries < POLL.tries; tries++) {
    const section = document.querySelector("[data-poll]");
    if (!section) break;
    await new Promise((resolve) => setTimeout(resolve, delay));
    delay = Math.min(delay * POLL.factor, POLL.longest);
    const before = sent;
    try {
      const answer = await load(section.dataset.poll);
      if (answer && before === sent) show(answer); // else a form's newer answer is there already
    } catch {
      // The server is away; perhaps not for long.
    }
  }
  polling = false;
}

async function send(form) {
  const buttons = form.querySelectorAll("button");
  const region = form.closest("[id]");
  const body = new FormData(form);
  sent++;
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  try {
    const answer = await load(form.action, { method: "POST", body });
    if (!answer) return form.submit(); // the whole page says what is wrong
    show(answer);
    if (!form.isConnected) {
      const refused = region.querySelector("[aria-invalid=true]");
      (refused ?? region.querySelector("summary"))?.focus();
    }
    poll();
  } catch {
    say("This could not be sent. Nothing was lost: please try again.");
  } finally {
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-inline]")) return;
  event.preventDefault();
  const isBusy = event.target.querySelector("button[aria-disabled]");
  if (!isBusy) send(event.target);
});

poll();
