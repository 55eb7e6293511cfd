// Buttons and forms that call the API: [data-call="METHOD PATH"]. Problems are shown with the API's message.
import { refresh } from "./live.js";

const dialog = document.getElementById("confirm");
const problem = document.getElementById("problem");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-call]");
  if (button === null) return;
  const { body, reason, key, go } = button.dataset;
  const answer = await confirm(button.dataset, button.textContent);
  if (answer === null) return;
  button.disabled = true;
  const content = { ...JSON.parse(body ?? "{}"), ...(reason ? { reason: answer } : {}) };
  const result = await call(button.dataset.call, content, key ? { "Idempotency-Key": key } : {});
  if (result !== null && go) location.assign(go.replace("{id}", result.id));
  else await refresh();
  button.disabled = false;
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-call]");
  if (form === null) return;
  event.preventDefault();
  const result = await call(form.dataset.call, Object.fromEntries(new FormData(form)));
  if (result !== null) location.assign(form.dataset.go);
});

// The result, or null after an error, which is then shown.
async function call(request, content, headers = {}) {
  const [method, path] = request.split(" ");
  const options = { headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(content) };
  try {
    const response = await fetch(path, { method, ...(method === "DELETE" ? {} : options) });
    const result = await response.json();
    showProblem(response.ok ? "" : message(result));
    return response.ok ? result : null;
  } catch (error) {
    showProblem(`the daemon did not respond: ${error.message}`);
    return null;
  }
}

function message({ detail, errors }) {
  return errors ? errors.map((fault) => `${fault.field} ${fault.message}`).join("; ") : detail;
}

function showProblem(text) {
  problem.textContent = text;
  problem.hidden = !text;
  if (text) problem.scrollIntoView({ block: "nearest" });
}

// The reason from the dialog; "" without a dialog; null if the dialog was closed.
function confirm({ title, reason }, label) {
  if (!title && !reason) return "";
  const field = dialog.querySelector("input");
  dialog.querySelector("h2").textContent = label;
  dialog.querySelector("p").textContent = title ?? "";
  dialog.querySelector("[value=go]").textContent = label;
  field.parentElement.hidden = !reason;
  field.required = reason === "required";
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue ? field.value : null), { once: true });
  });
}

// The close button does not submit: it needs no reason, and Enter in the field confirms.
dialog.querySelector("button").addEventListener("click", () => dialog.close(""));
