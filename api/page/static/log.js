// Logs of attempts: loaded when opened, followed while the job runs and the page is visible.

const LINES = 500; // loaded at first
const MAX_CHARACTERS = 500000;
const INTERVAL = 1000; // milliseconds between two requests
const followed = new WeakSet();
const texts = new WeakMap(); // the whole text of each log, whatever is shown of it

const pause = () => new Promise((resolve) => setTimeout(resolve, INTERVAL));

function open(details) {
  const pre = details.querySelector("pre");
  if (followed.has(pre)) return;
  followed.add(pre);
  follow(pre);
}

async function follow(pre) {
  const decoder = new TextDecoder();
  let part = `tail=${LINES}`;
  while (pre.isConnected) {
    const response = await fetch(`${pre.dataset.log}?${part}`).catch(() => null);
    if (response?.ok) {
      append(pre, decoder.decode(await response.arrayBuffer(), { stream: true }));
      if (response.headers.get("X-Attempt-Status") !== "running") return;
      part = `offset=${response.headers.get("X-Log-Size")}`;
    } else if (response && ![429, 503].includes(response.status)) {
      append(pre, (await response.json()).detail);
      return;
    }
    do await pause();
    while (document.hidden || !pre.parentElement?.open);
  }
}

function append(pre, text) {
  if (!text) return;
  const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 4;
  texts.set(pre, ((texts.get(pre) ?? "") + text).slice(-MAX_CHARACTERS));
  show(pre);
  if (atEnd) pre.scrollTop = pre.scrollHeight;
}

// All lines, or those that contain what is looked for, in any case of letters.
function show(pre) {
  const text = texts.get(pre) ?? "";
  const part = pre.parentElement.querySelector("[data-find]").value.toLowerCase();
  pre.textContent = part ? text.split("\n").filter((line) => line.toLowerCase().includes(part)).join("\n") : text;
}

document.addEventListener("input", ({ target }) => target.matches("[data-find]") && show(target.closest("details").querySelector("pre.log")));
document.addEventListener("toggle", ({ target }) => target.matches("details.attempt[open]") && open(target), { capture: true });

if (location.hash.startsWith("#attempt-")) document.querySelector(`details${location.hash}`)?.setAttribute("open", "");
document.querySelectorAll("details.attempt[open]").forEach(open);
