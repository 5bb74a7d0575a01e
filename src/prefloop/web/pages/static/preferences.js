/** Language, theme, keys (kept on the server) and what this device does by itself (kept in the browser). */

import { Refused, call } from "./api.js";
import { byId, el, meta } from "./dom.js";
import { DEFAULTS, PLACES, bindings, clashes, name, pressed } from "./keys.js";
import { option, setOption } from "./store.js";
import { t } from "./words.js";

const told = byId("told");
const STANDARD = { shortcuts: true, lock: false, raw: false, guideline: window.innerWidth >= 1100 };
const NEVER = new Set(["Tab", "Escape", "Shift", "Control", "Alt", "Meta", "CapsLock", "Process", "Dead", "Unidentified", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);
let bound = bindings(JSON.parse(meta("keys") || "{}"));

/** @param {string} text @param {"good" | "bad"} level */
function tell(text, level) {
  told.hidden = false;
  told.className = `notice ${level}`;
  told.textContent = text;
}

/** @param {Record<string, any>} changes */
async function save(changes) {
  try {
    await call("PUT", "/me", changes);
    tell(t("preferences.saved"), "good");
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(t("preferences.failed", { why: error.message }), "bad");
    return false;
  }
}

for (const input of document.querySelectorAll("input[name=language]")) {
  input.addEventListener("change", async () => {
    if (await save({ language: /** @type {HTMLInputElement} */ (input).value })) location.assign("/preferences");
  });
}
for (const input of document.querySelectorAll("input[name=theme]")) {
  input.addEventListener("change", () => {
    const { value } = /** @type {HTMLInputElement} */ (input);
    document.documentElement.dataset.theme = value;
    document.querySelector("meta[name=color-scheme]")?.setAttribute("content", value === "auto" ? "light dark" : value);
    void save({ theme: value });
  });
}
for (const [code, standard] of Object.entries(STANDARD)) {
  const input = /** @type {HTMLInputElement} */ (document.querySelector(`input[name=${code}]`));
  input.checked = option(code, standard);
  input.addEventListener("change", () => {
    setOption(code, input.checked);
    tell(t("preferences.saved"), "good");
  });
}

/** @type {HTMLButtonElement | null} */
let listening = null;
/** @type {Map<string, HTMLButtonElement>} */
const buttons = new Map();

function draw() {
  const clashing = clashes(bound);
  for (const [action, button] of buttons) {
    button.textContent = button === listening ? t("keys.press") : name(bound[action]);
    button.classList.toggle("listening", button === listening);
    button.setAttribute("aria-label", t("keys.change", { does: t(`key.${action}`), key: name(bound[action]) }));
    button.parentElement?.classList.toggle("clash", clashing.has(action));
  }
  return clashing.size === 0;
}

function keepKeys() {
  if (!draw()) return tell(t("keys.clash"), "bad");
  const changed = Object.fromEntries(Object.entries(bound).filter(([action, key]) => DEFAULTS[action] !== key));
  void save({ keys: changed });
}

for (const [place, title] of [["pair", "kind.pair"], ["ranking", "kind.ranking"], ["thumb", "kind.thumb"], ["always", "keys.always"]]) {
  const rows = /** @type {Record<string, string[]>} */ (PLACES)[place].map((action) => {
    const button = el("button", { type: "button" });
    buttons.set(action, button);
    button.addEventListener("click", () => {
      listening = listening === button ? null : button;
      draw();
    });
    button.addEventListener("blur", () => {
      if (listening === button) listening = null;
      draw();
    });
    button.addEventListener("keydown", (event) => {
      if (listening !== button || event.isComposing || event.keyCode === 229) return;
      if (event.key !== "Tab") event.preventDefault();
      if (event.key === "Escape") listening = null;
      if (event.ctrlKey || event.metaKey || event.altKey || NEVER.has(event.key)) return void draw();
      bound = { ...bound, [action]: pressed(event) };
      listening = null;
      keepKeys();
    });
    return el("div", { class: "key-row" }, el("span", {}, t(`key.${action}`)), button);
  });
  byId("key-rows").append(el("section", { class: "card" }, el("h3", {}, t(title)), rows));
}
byId("keys-reset").addEventListener("click", () => {
  bound = { ...DEFAULTS };
  keepKeys();
});
draw();
