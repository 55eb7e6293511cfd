// Buttons and forms that call the API: [data-call="METHOD PATH"]. What goes wrong is told in its own words.
import { refresh } from "./live.js";

const ask = document.getElementById("ask");
const problem = document.getElementById("problem");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-call]");
  if (button === null) return;
  const { body, reason, key, go } = button.dataset;
  const said = await confirmed(button.dataset);
  if (said === null) return;
  button.disabled = true;
  const given = { ...JSON.parse(body ?? "{}"), ...(reason ? { reason: said } : {}) };
  const answer = await call(button.dataset.call, given, key ? { "Idempotency-Key": key } : {});
  if (answer !== null && go) location.assign(go.replace("{id}", answer.id));
  else await refresh();
  button.disabled = false;
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-call]");
  if (form === null) return;
  event.preventDefault();
  const answer = await call(form.dataset.call, Object.fromEntries(new FormData(form)));
  if (answer !== null) location.assign(form.dataset.go);
});

// The answer, or null where there is none or it is a refusal, which is then told.
async function call(request, given, headers = {}) {
  const [method, path] = request.split(" ");
  const sent = { headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(given) };
  try {
    const response = await fetch(path, { method, ...(method === "DELETE" ? {} : sent) });
    const answer = await response.json();
    tell(response.ok ? "" : faults(answer));
    return response.ok ? answer : null;
  } catch (error) {
    tell(`the daemon did not answer: ${error.message}`);
    return null;
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

// The way out is no submit button: it needs no reason, and Enter in the field goes on.
ask.querySelector("button").addEventListener("click", () => ask.close(""));
