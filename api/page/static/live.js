// Keeps every [data-live] part of the page fresh: asks for it again, and changes what has changed.
import { morphChildren } from "./morph.js";

const PACE = 2000; // milliseconds between two looks
const SLOWEST = 30000; // while the daemon does not answer
const etags = new Map();
const listeners = [];
let timer = null;
let failures = 0;
let looking = null;

export function onRefresh(listener) {
  listeners.push(listener);
}

// Look now. Whoever asks while a look is under way gets one that begins after it.
export async function refresh() {
  if (looking !== null) await looking;
  clearTimeout(timer);
  looking ??= look().finally(() => (looking = null));
  await looking;
}

export function start() {
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  document.documentElement.dataset.looks = 0; // from here on the page does what its buttons say
  pulse();
  plan();
}

function plan() {
  clearTimeout(timer);
  if (document.hidden || document.querySelector("[data-live]") === null) return;
  timer = setTimeout(refresh, Math.min(PACE * 2 ** failures, SLOWEST));
}

async function look() {
  try {
    const parts = [...document.querySelectorAll("[data-live]")];
    const fresh = await Promise.all(parts.map((part) => ask(part.dataset.live)));
    fresh.forEach((html, number) => html !== null && show(parts[number], html));
    failures = 0;
  } catch {
    failures += 1;
  }
  pulse();
  listeners.forEach((listener) => listener());
  document.documentElement.dataset.looks = Number(document.documentElement.dataset.looks) + 1;
  plan();
}

// The part's HTML, or null when it is as it was.
async function ask(name) {
  const url = new URL(location.href);
  url.searchParams.set("part", name);
  const headers = etags.has(name) ? { "If-None-Match": etags.get(name) } : {};
  const response = await fetch(url, { headers });
  if (response.redirected) location.reload(); // the session has ended: to the login
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

function pulse() {
  const mark = document.getElementById("pulse");
  if (mark === null) return;
  const text = failures ? "no answer, trying again" : "live";
  mark.hidden = document.querySelector("[data-live]") === null;
  mark.classList.toggle("lost", failures > 0);
  if (mark.textContent !== text) mark.textContent = text;
}
