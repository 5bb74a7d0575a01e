/** The guideline's editor: a preview that the server renders a moment after the last key, and a brake on leaving unsaved work. */

import { Refused, call } from "../api.js";
import { byId, el } from "../dom.js";
import { grown } from "../tree.js";
import { t } from "../words.js";

const PAUSE = 350;
const text = /** @type {HTMLTextAreaElement} */ (byId("guide-text"));
const save = /** @type {HTMLButtonElement} */ (byId("guide-save"));
const preview = byId("guide-preview");
const base = /** @type {HTMLInputElement} */ (byId("guide-base"));
let first = text.defaultValue;
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
/** Somebody else was faster: shows their version beside the text, which stays; the next save is on top of theirs. */
async function moved() {
  const [newest] = (await call("GET", "/guidelines?limit=1")).guidelines;
  byId("guide-other-title").textContent = t("guide.moved", { n: newest.version, name: newest.by || "–" });
  byId("guide-other-tree").replaceChildren(grown(newest.tree));
  byId("guide-other-text").textContent = newest.text;
  const other = byId("guide-other");
  other.hidden = false;
  base.value = String(newest.version);
  save.textContent = t("guide.save_as", { n: newest.version + 1 });
  first = newest.text;
  other.focus();
}

byId("guide").addEventListener("refused", (event) => {
  const error = /** @type {CustomEvent} */ (event).detail;
  if (error instanceof Refused && error.code === "guideline_moved") moved().catch(() => {}); // not to be had now: the next save says so again
});
byId("guide").addEventListener("done", () => (leaving = true));
window.addEventListener("beforeunload", (event) => {
  if (!leaving && text.value !== first) event.preventDefault();
});
judge();
if (text.value !== first) void look(); // typed before this ran
