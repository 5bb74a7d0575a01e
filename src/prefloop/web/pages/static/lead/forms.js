/**
 * Forms of the leads' pages: `data-call="POST /path"` sends the named fields as JSON, or a file as it is, and tells what came of it.
 * `data-pairs="name"` makes an object of rows with a name and a number. A name with dots, or a `data-path`, is a place inside the body; `data-many` makes a list of all fields with that name.
 * `data-then="reload"` loads the page anew; `data-once="id"` shows what the server tells only once in the box with that id.
 */

import { call } from "../api.js";
import { byId } from "../dom.js";
import { has, t } from "../words.js";

const DONE = "prefloop.done";
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Field */

/** One field's value, as `data-as` says. @param {Field} field */
function value(field) {
  const text = field.value.trim();
  if (field instanceof HTMLInputElement && field.type === "checkbox") return field.dataset.many === undefined ? field.checked : field.value;
  switch (field.dataset.as) {
    case "number": return text === "" ? null : Number(text);
    case "json": return JSON.parse(text);
    case "maybe": return text === "" ? null : field.value;
    case "flag": return text === "true";
    case "lines": return text.split("\n").map((line) => line.trim()).filter(Boolean);
    case "commas": return text.split(/[,，、\n]/).map((word) => word.trim()).filter(Boolean);
    case "percent": return Number(text) === 0 ? null : Number(text) / 100;
    default: return field.value;
  }
}

/** The named fields, without radio buttons that are not chosen. @param {HTMLFormElement} form @returns {Field[]} */
function fields(form) {
  /** @type {Field[]} */
  const found = [];
  for (const field of form.elements) {
    if (!(field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement || field instanceof HTMLSelectElement)) continue;
    if (field.name && !(field instanceof HTMLInputElement && field.type === "radio" && !field.checked)) found.push(field);
  }
  return found;
}

/** What is sent. @param {HTMLFormElement} form */
function body(form) {
  /** @type {Record<string, any>} */
  const whole = {};
  for (const field of fields(form)) {
    const part = value(field);
    if (part === null) continue;
    const path = field.dataset.path ? JSON.parse(field.dataset.path) : field.name.split(".");
    const last = path.pop();
    let place = whole;
    for (const name of path) place = place[name] ??= {};
    const absent = field instanceof HTMLInputElement && field.type === "checkbox" && !field.checked;
    if (field.dataset.many === undefined) place[last] = part;
    else place[last] = [...(place[last] ?? []), ...(absent ? [] : [part])];
  }
  for (const box of form.querySelectorAll("[data-pairs]")) {
    const pairs = [...box.children].map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim())).filter(([name, number]) => name && number);
    if (box instanceof HTMLElement) whole[box.dataset.pairs ?? ""] = Object.fromEntries(pairs.map(([name, number]) => [name, Number(number)]));
  }
  return whole;
}

/** Marks the field that a sentence names in backticks, and goes there. @param {HTMLFormElement} form @param {string} sentence */
function blame(form, sentence) {
  const named = [...sentence.matchAll(/`([\w.]+)`/g)].map((match) => match[1]);
  const field = fields(form).find((one) => named.includes(one.name) || named.some((name) => one.name.endsWith(`.${name}`)));
  if (!field) return;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

/** Shows what is told once. @param {string} id @param {any} said */
function once(id, said) {
  const box = byId(id);
  const place = /** @type {HTMLInputElement} */ (byId(`${id}-value`));
  place.value = said.link ?? said.token ?? said.secret ?? "";
  box.hidden = false;
  place.focus();
  place.select();
}

for (const box of document.querySelectorAll(".once")) {
  const place = /** @type {HTMLInputElement} */ (box.querySelector("input"));
  const line = box.querySelector("[role=status]");
  box.querySelector("[data-do=copy]")?.addEventListener("click", async () => {
    place.select();
    try {
      await navigator.clipboard.writeText(place.value); // not there on plain http in a network
      if (line) line.textContent = t("once.copied");
    } catch {
      place.focus();
      if (line) line.textContent = t("once.select");
    }
  });
  box.querySelector("[data-do=close]")?.addEventListener("click", () => location.reload());
}

/** Loads the page anew (or another one), and says there what is done, if it is a page for leads. @param {string} then @param {any} said */
function leave(then, said) {
  const says = said?.work ? `${t("desk.done")} ${t("set.kinds_done", said.work)}` : t("desk.done");
  if (then === "reload" || then.startsWith("/lead")) sessionStorage.setItem(DONE, says);
  if (then === "reload") location.reload();
  else location.assign(then);
}

const done = sessionStorage.getItem(DONE);
if (done) {
  sessionStorage.removeItem(DONE);
  const line = document.getElementById("done");
  if (line) {
    line.hidden = false;
    setTimeout(() => (line.textContent = done), 60);
  }
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
  return call("POST", `${path}?${query}`, file, { limit: 3600000 });
}

/** What an answer says, in a line or a few. @param {any} said @param {string | undefined} form */
function summary(said, form) {
  if (form === "log") return said.whole ? t("access.whole", { n: said.events }) : t("access.broken", { why: said.problem });
  if (!said || typeof said !== "object") return t("desk.done");
  if (form === "released") return t("selection.released", { n: said.released });
  if (form === "selection") {
    const by = said.diversity_by === undefined ? "" : said.diversity_by === null ? t("selection.by_words") : t("selection.by_model", { model: said.diversity_by });
    return [t("selection.chosen", { n: said.chosen, of: said.of }), by, ...said.problems.slice(0, 20)].filter(Boolean).join("\n");
  }
  const word = (/** @type {string} */ name) => (has(`result.${name}`) ? t(`result.${name}`) : name);
  const parts = Object.entries(said).filter(([, part]) => ["string", "number", "boolean"].includes(typeof part)).map(([name, part]) => `${word(name)}: ${part}`);
  const problems = Array.isArray(said.problems) ? said.problems.slice(0, 20) : [];
  const counted = Object.entries(said).filter(([, part]) => part && typeof part === "object" && !Array.isArray(part) && Object.keys(part).length);
  const tables = counted.map(([name, part]) => `${word(name)}: ${Object.entries(part).map(([what, number]) => `${what} (${number})`).join("; ")}`);
  return [t("desk.done"), parts.join(", "), ...tables, ...problems].filter(Boolean).join("\n");
}

for (const form of document.querySelectorAll("form[data-call]")) {
  if (!(form instanceof HTMLFormElement)) continue;
  const line = form.querySelector("[role=status]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [method, path] = (form.dataset.call ?? "").split(" ");
    const buttons = [...form.querySelectorAll("button")].filter((button) => !button.disabled);
    for (const button of buttons) button.disabled = true;
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    const state = (/** @type {string} */ name) => line?.setAttribute("data-state", name);
    state("sending");
    if (line) line.textContent = t("desk.sending");
    try {
      const plain = method === "DELETE" || method === "GET";
      const said = form.querySelector("input[type=file]") ? await upload(path, form) : await call(method, path, plain ? undefined : body(form), { limit: 120000 });
      state("done");
      form.dispatchEvent(new Event("done"));
      if (form.dataset.then) leave(form.dataset.then, said);
      else if (line) line.textContent = form.dataset.once ? "" : summary(said, form.dataset.says);
      if (form.dataset.once) once(form.dataset.once, said);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      state("failed");
      if (line) line.textContent = t("desk.failed", { why });
      form.dispatchEvent(new CustomEvent("refused", { detail: error }));
      blame(form, why);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
}
