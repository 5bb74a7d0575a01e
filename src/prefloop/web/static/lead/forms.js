/** Forms of the leads' pages: `data-call="POST /path"` sends the named fields as JSON, or a file as it is, and tells what came of it. */

import { Refused, call } from "../api.js";
import { t } from "../words.js";

/** One field's value, as `data-as` says. @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} field */
function value(field) {
  const text = field.value.trim();
  if (field instanceof HTMLInputElement && field.type === "checkbox") return field.checked;
  switch (field.dataset.as) {
    case "number": return text === "" ? null : Number(text);
    case "words": return text.split(/[\s,]+/).filter(Boolean);
    case "numbers": {
      const lines = text.split("\n").filter((line) => line.trim());
      return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf("=")).trim(), Number(line.slice(line.lastIndexOf("=") + 1))]));
    }
    default: return field.value;
  }
}

/** @param {HTMLFormElement} form */
function fields(form) {
  return [...form.elements].filter(
    (field) => (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement || field instanceof HTMLSelectElement) && field.name,
  );
}

/** Sends a file as the body; what the other fields say goes into the address. @param {string} path @param {HTMLFormElement} form */
async function upload(path, form) {
  const query = new URLSearchParams();
  let file;
  for (const field of fields(form)) {
    if (field instanceof HTMLInputElement && field.type === "file") file = field.files?.[0];
    else if (String(value(field)) !== "") query.set(field.name, String(value(field)));
  }
  if (!file) return null;
  query.set("file", file.name);
  const response = await fetch(`/api/v1${path}?${query}`, {
    method: "POST", body: file, headers: { "Content-Type": "application/x-ndjson", Accept: "application/json" }, credentials: "same-origin",
  });
  const said = await response.json();
  if (!response.ok) throw new Refused(response.status, said.error?.code ?? "", said.error?.message ?? "");
  return said;
}

/** What an answer says, in a line or a few. @param {any} said */
function summary(said) {
  if (!said || typeof said !== "object") return t("desk.done");
  const parts = Object.entries(said).filter(([, part]) => ["string", "number", "boolean"].includes(typeof part)).map(([name, part]) => `${name}: ${part}`);
  const problems = Array.isArray(said.problems) ? said.problems.slice(0, 20) : [];
  return [t("desk.done"), parts.join(", "), ...problems].filter(Boolean).join("\n");
}

for (const form of document.querySelectorAll("form[data-call]")) {
  if (!(form instanceof HTMLFormElement)) continue;
  const line = form.querySelector("[role=status]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [method, path] = (form.dataset.call ?? "").split(" ");
    const buttons = [...form.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    if (line) line.textContent = t("desk.sending");
    try {
      const body = Object.fromEntries(fields(form).map((field) => [field.name, value(field)]).filter(([, part]) => part !== null));
      const said = form.querySelector("input[type=file]") ? await upload(path, form) : await call(method, path, method === "DELETE" ? undefined : body, { limit: 120000 });
      if (line) line.textContent = summary(said);
      if (form.dataset.then === "reload") location.reload();
    } catch (error) {
      if (line) line.textContent = t("desk.failed", { why: error instanceof Error ? error.message : String(error) });
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
}
