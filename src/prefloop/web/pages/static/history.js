/** What somebody judged themselves, newest first, with a way to reopen each; and what could not be delivered. */

import { Refused, call } from "./api.js";
import { byId, el, meta } from "./dom.js";
import { inWords } from "./feedback.js";
import { Outbox } from "./outbox.js";
import { forget, keep, keys, recalled } from "./store.js";
import { flat } from "./tree.js";
import { t, when } from "./words.js";

const STEP = 50;
const user = meta("user");
const outbox = new Outbox(user);
let limit = STEP;

/** The last thing that was asked, in short. @param {any} presentation */
function asked(presentation) {
  const last = presentation?.messages?.at(-1);
  return (last?.tree ?? []).map(flat).join(" ").slice(0, 200);
}

/** What the judging page restores, from an answer. @param {string} kind @param {any} answer */
export function stateOf(kind, answer) {
  if (kind === "pair") return { choice: answer.choice, strength: answer.strength ? String(answer.strength) : null };
  if (kind === "ranking") return { ranks: answer.ranks };
  if (kind === "thumb") return { values: answer.thumbs.map((/** @type {boolean} */ good) => (good ? "up" : "down")) };
  if (kind === "rating") {
    const axes = Object.values(answer.ratings);
    return { values: (axes[0] ?? []).flatMap((/** @type {number} */ _, /** @type {number} */ slot) => axes.map((values) => String(values[slot]))) };
  }
  return kind === "edit" ? { slot: answer.slot, text: answer.text } : { text: answer.text };
}

/** @param {any} row */
function reopen(row) {
  const past = { judgement: row.id, item: row.presentation, state: stateOf(row.presentation.kind, row.answer), comment: row.comment ?? "", says: inWords(row.answer) };
  keep(`prefloop.reopen.${user}`, JSON.stringify(past));
  location.assign(`/?revise=${encodeURIComponent(row.id)}`);
}

/** @param {any} row */
function line(row) {
  const { presentation } = row;
  const button = el("button", { type: "button", class: "quiet", "aria-label": t("history.reopen_label", { answer: inWords(row.answer) }) }, t("history.reopen"));
  button.addEventListener("click", () => reopen(row));
  const state = row.counted === false ? t("history.kept") : row.revision > 1 ? t("history.revised", { n: row.revision }) : "";
  return el(
    "tr", {}, el("td", {}, when(row.at)), el("td", {}, t(`kind.${presentation.kind}`)), el("td", {}, el("span", { class: "prompt", dir: "auto" }, asked(presentation))),
    el("td", { dir: "auto" }, inWords(row.answer), row.comment ? el("div", { class: "small" }, row.comment) : null), el("td", {}, state ? el("span", { class: "mark" }, state) : null),
    el("td", {}, row.revisable === false || presentation.purpose === "calibration" ? null : button),
  );
}

async function load() {
  const rows = byId("rows");
  try {
    const { judgements } = await call("GET", `/history?limit=${limit}`);
    rows.replaceChildren(...judgements.map(line));
    byId("none").hidden = judgements.length > 0;
    byId("more").hidden = judgements.length < limit;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.code === "signed_out") location.assign("/login?next=/history");
    rows.replaceChildren(el("tr", {}, el("td", { colspan: 6 }, el("span", { role: "alert" }, error.message))));
  }
  rows.removeAttribute("aria-busy");
}

function refused() {
  const found = keys(outbox.aside);
  byId("refused").hidden = !found.length;
  byId("refused-list").replaceChildren(...found.map((key) => {
    const { entry, message } = recalled(key, { entry: {}, message: "" });
    const away = el("button", { type: "button", class: "quiet" }, t("history.put_away"));
    away.addEventListener("click", () => {
      forget(key);
      refused();
    });
    return el("li", { class: "card" }, el("p", {}, when((entry.at ?? 0) / 1000), " ", inWords(entry.body?.answer)), el("p", { class: "small" }, message), away);
  }));
}

function waiting() {
  const note = byId("waiting");
  note.hidden = !outbox.waiting;
  note.textContent = t("empty.kept", { n: outbox.waiting });
}

byId("more").addEventListener("click", () => {
  limit += STEP;
  void load();
});
outbox.addEventListener("changed", waiting);
outbox.addEventListener("sent", () => void load());
outbox.addEventListener("refused", refused);
outbox.again();
waiting();
refused();
await load();
