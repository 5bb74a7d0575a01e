/** One item on the page: the conversation, the responses side by side, and the kind's own view. */

import { el, words as textOf } from "./dom.js";
import { pair } from "./pair.js";
import { ranking } from "./ranking.js";
import { rating, thumb } from "./rating.js";
import { demonstration, edit } from "./writing.js";
import { option } from "./store.js";
import { grown } from "./tree.js";
import { letter, t } from "./words.js";

/** @typedef {import("./types.js").Presentation} Presentation */
/** @typedef {import("./types.js").View} View */

const VIEWS = { pair, ranking, rating, thumb, edit, demonstration };

/** True if this page knows how to show a kind. @param {string} kind */
export function known(kind) {
  return kind in VIEWS;
}

/** What was said before. @param {{messages: import("./types.js").Message[]}} item */
export function conversation(item) {
  const turns = item.messages.map(({ role, tree }) =>
    el("li", { class: `turn ${role}` }, el("span", { class: "who" }, t(`role.${role}`)), el("div", { class: "words", dir: "auto" }, grown(tree))));
  const many = item.messages.length > 1 && item.messages.at(-1)?.role === "user" ? t("item.turns", { n: item.messages.length }) : "";
  return el(
    "section", { class: "conversation", "aria-label": t("item.conversation"), tabindex: 0 },
    many ? el("p", { class: "turns-note" }, many) : null, el("ol", { class: "turns" }, turns),
  );
}

/** @param {import("./types.js").Response} response @param {boolean} alone */
function card(response, alone) {
  const title = alone ? t("item.response") : t("item.response_letter", { letter: letter(response.slot) });
  const words = el("div", { class: "pane-words", dir: "auto", tabindex: 0, role: "group", "aria-label": title });
  const head = el("span", { class: "marks" });
  const empty = response.text === "" && !response.tree.length;
  const fill = () => {
    const raw = option("raw", false);
    words.classList.toggle("raw", raw);
    if (empty) words.replaceChildren(el("p", { class: "none" }, t("item.empty_response")));
    else if (raw) words.replaceChildren(textOf(response.text));
    else words.replaceChildren(grown(response.tree));
  };
  fill();
  const badge = alone ? null : el("span", { class: "letter", "aria-hidden": "true" }, letter(response.slot));
  const pane = el(
    "section", { class: "pane", "aria-label": title },
    el("header", { class: "pane-head" }, el("h3", {}, badge, el("span", { class: alone ? null : "unseen" }, title)), head, el("span", { class: "chosen-mark" }, "✓")), words,
  );
  return { pane, words, head, fill };
}

/** Scrolls the others in proportion, while the lock is on. @param {HTMLElement[]} panes */
function linked(panes) {
  /** @type {HTMLElement | null} */
  let leader = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  for (const pane of panes) {
    pane.addEventListener("scroll", () => {
      if (!option("lock", false) || (leader && leader !== pane)) return;
      leader = pane;
      clearTimeout(timer);
      timer = setTimeout(() => (leader = null), 120);
      const share = pane.scrollTop / Math.max(1, pane.scrollHeight - pane.clientHeight);
      for (const other of panes) if (other !== pane) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
    }, { passive: true });
  }
}

/**
 * An item built, but not yet on the page: this is done ahead of time, so that showing it costs one exchange.
 * @param {Presentation} item
 * @param {{bound: Record<string, string>, changed: (direct?: boolean) => void, announce: (text: string) => void}} given
 */
export function build(item, { bound, changed, announce }) {
  const alone = item.responses.length === 1;
  const cards = item.responses.map((response) => card(response, alone));
  const panes = cards.map(({ pane }) => pane);
  const words = cards.map(({ words: text }) => text);
  const make = VIEWS[/** @type {keyof typeof VIEWS} */ (item.kind)];
  const view = /** @type {View} */ (make({ item, panes, heads: cards.map(({ head }) => head), bound, changed, announce }));
  linked(words);
  const responses = panes.length ? el("div", { class: `responses of-${panes.length}` }, panes) : null;
  const article = el(
    "article", { class: `item ${item.kind}`, tabindex: -1, "aria-label": t("item.label", { kind: t(`kind.${item.kind}`) }) },
    conversation(item),
    view.body ? el("div", { class: "beside" }, responses, view.body) : responses,
  );
  return {
    item, article, view, words,
    /** Formatted or raw, as the option says now. */
    refill: () => cards.forEach(({ fill }) => fill()),
    /** @param {number} direction */
    page: (direction) => {
      /** @param {HTMLElement} pane */
      const room = (pane) => (direction > 0 ? pane.scrollHeight - pane.clientHeight - pane.scrollTop : pane.scrollTop);
      const scrollers = words.filter((pane) => room(pane) > 2);
      for (const pane of scrollers) pane.scrollBy({ top: direction * pane.clientHeight * 0.8 });
      if (scrollers.length) return;
      responses?.scrollBy({ top: direction * responses.clientHeight * 0.8 });
      window.scrollBy({ top: direction * window.innerHeight * 0.7 });
    },
  };
}
