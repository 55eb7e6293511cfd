// Keeps every [data-live] part of the page current: polls it and changes only what differs.
import { morphChildren } from "./morph.js";

const INTERVAL = 2000; // milliseconds between two polls
const MAX_INTERVAL = 30000; // while the daemon does not answer
const etags = new Map();
const listeners = [];
let timer = null;
let failures = 0;
let polling = null;

export function onRefresh(listener) {
  listeners.push(listener);
}

// Poll now. A call during a poll waits for it and then polls again.
export async function refresh() {
  if (polling !== null) await polling;
  clearTimeout(timer);
  polling ??= poll().finally(() => (polling = null));
  await polling;
}

export function start() {
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  document.documentElement.dataset.polls = 0; // the buttons work from here on
  showConnection();
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (document.hidden || document.querySelector("[data-live]") === null) return;
  timer = setTimeout(refresh, Math.min(INTERVAL * 2 ** failures, MAX_INTERVAL));
}

async function poll() {
  try {
    const parts = [...document.querySelectorAll("[data-live]")];
    const fresh = await Promise.all(parts.map((part) => fetchPart(part.dataset.live)));
    fresh.forEach((html, number) => html !== null && show(parts[number], html));
    failures = 0;
  } catch {
    failures += 1;
  }
  showConnection();
  listeners.forEach((listener) => listener());
  document.documentElement.dataset.polls = Number(document.documentElement.dataset.polls) + 1;
  schedule();
}

// The HTML of the part, or null if it has not changed.
async function fetchPart(name) {
  const url = new URL(location.href);
  url.searchParams.set("part", name);
  const headers = etags.has(name) ? { "If-None-Match": etags.get(name) } : {};
  const response = await fetch(url, { headers });
  if (response.redirected) location.reload(); // the session has ended: reload leads to the login
  if (response.redirected || response.status === 304) return null;
  if (!response.ok) throw new Error(`${response.status}`);
  etags.set(name, response.headers.get("ETag"));
  return response.text();
}

function show(part, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  morphChildren(part, fresh.content);
}

function showConnection() {
  const status = document.getElementById("pulse");
  if (status === null) return;
  const text = failures ? "no response, retrying" : "live";
  status.hidden = document.querySelector("[data-live]") === null;
  status.classList.toggle("lost", failures > 0);
  if (status.textContent !== text) status.textContent = text;
}
