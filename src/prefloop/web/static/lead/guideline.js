/** The guideline's editor: a preview that the server renders a moment after the last key, and a brake on leaving unsaved work. */

import { Refused, call } from "../api.js";
import { byId, el } from "../dom.js";
import { grown } from "../tree.js";
import { t } from "../words.js";

const PAUSE = 350;
const text = /** @type {HTMLTextAreaElement} */ (byId("guide-text"));
const save = /** @type {HTMLButtonElement} */ (byId("guide-save"));
const preview = byId("guide-preview");
const first = text.defaultValue;
let timer = 0;
let asked = 0;
let leaving = false;

/** Nothing is saved that is in force already. */
function judge() {
  const same = text.value === first;
  save.disabled = same || !text.value.trim();
  save.title = same && first ? t("guide.current") : "";
}

async function look() {
  const mine = ++asked;
  try {
    const { tree } = await call("POST", "/guidelines/preview", { text: text.value });
    if (mine === asked) preview.replaceChildren(grown(tree));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (mine === asked) preview.replaceChildren(el("p", { class: "notice bad" }, t("desk.failed", { why: error.message })));
  }
}

text.addEventListener("input", () => {
  judge();
  clearTimeout(timer);
  timer = window.setTimeout(look, PAUSE);
});
byId("guide").addEventListener("done", () => (leaving = true));
window.addEventListener("beforeunload", (event) => {
  if (!leaving && text.value !== first) event.preventDefault();
});
judge();
if (text.value !== first) void look(); // typed before this ran, or given back by the browser
