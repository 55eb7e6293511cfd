// Buttons that call the API: [data-call="METHOD PATH"]. What goes wrong is told in the API's own words.
import { refresh } from "./live.js";

const ask = document.getElementById("ask");
const problem = document.getElementById("problem");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-call]");
  if (button === null) return;
  const reason = await confirmed(button.dataset);
  if (reason === null) return;
  button.disabled = true;
  await call(button.dataset, reason);
  button.disabled = false;
});

async function call({ call: request, body, reason, key, go }, said) {
  const [method, path] = request.split(" ");
  const given = { ...JSON.parse(body ?? "{}"), ...(reason ? { reason: said } : {}) };
  const headers = { "Content-Type": "application/json", ...(key ? { "Idempotency-Key": key } : {}) };
  const sent = method === "DELETE" ? {} : { headers, body: JSON.stringify(given) };
  try {
    const response = await fetch(path, { method, ...sent });
    const answer = await response.json();
    tell(response.ok ? "" : faults(answer));
    if (response.ok && go) location.assign(go + answer.id);
    else await refresh();
  } catch (error) {
    tell(`the daemon did not answer: ${error.message}`);
  }
}

function faults({ detail, errors }) {
  return errors ? errors.map(({ field, message }) => `${field} ${message}`).join("; ") : detail;
}

function tell(text) {
  problem.textContent = text;
  problem.hidden = !text;
  if (text) problem.scrollIntoView({ block: "nearest" });
}

// What was said in the dialog; "" where nothing had to be asked; null when it was called off.
function confirmed({ title, reason }) {
  if (!title && !reason) return "";
  const field = ask.querySelector("input");
  ask.querySelector("p").textContent = title ?? "";
  field.parentElement.hidden = !reason;
  field.required = reason === "required";
  field.value = "";
  ask.returnValue = "";
  ask.showModal();
  return new Promise((resolve) => {
    ask.addEventListener("close", () => resolve(ask.returnValue ? field.value : null), { once: true });
  });
}

// The way out needs no reason.
ask.querySelector("button").addEventListener("click", (event) => {
  event.preventDefault();
  ask.close("");
});
