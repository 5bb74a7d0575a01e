/**
 * K responses in order, ties allowed. Two ways with one state: type the letters' numbers (or point at the chips) from best
 * to worst, or drag the chips between places and move them with the arrow keys.
 */

import { cap, el } from "./dom.js";
import { name as keyName } from "./keys.js";
import { draggable } from "./drag.js";
import { letter, t } from "./words.js";

/** Ranks without gaps: 1, 1, 3 becomes 1, 1, 2. @param {number[]} ranks */
export function dense(ranks) {
  const used = [...new Set(ranks)].sort((a, b) => a - b);
  return ranks.map((rank) => used.indexOf(rank) + 1);
}

/** @param {number[]} ranks 0 where there is none yet @returns {string} for instance "B > A = C" */
export function inOrder(ranks) {
  const places = [...new Set(ranks.filter(Boolean))].sort((a, b) => a - b);
  return places.map((place) => ranks.flatMap((rank, slot) => (rank === place ? [letter(slot)] : [])).join(" = ")).join(" > ");
}

/** The rank after one number was typed: next place, or the same as the last. @param {number[]} ranks @param {number} slot @param {boolean} tie */
export function typed(ranks, slot, tie) {
  const next = [...ranks];
  if (next[slot]) {
    next[slot] = 0;
    return next;
  }
  const last = Math.max(0, ...next);
  next[slot] = tie && last ? last : Math.min(last + 1, ranks.length);
  return next;
}

/** @param {import("./types.js").Place} place @returns {import("./types.js").View} */
export function ranking({ item, bound, changed, announce }) {
  const count = item.responses.length;
  let ranks = item.responses.map(() => 0);
  let tie = false;

  const places = item.responses.map(() => el("span", { class: "unseen" }));
  const chips = item.responses.map((_, slot) => el("button", { type: "button", class: "chip" }, letter(slot), places[slot], cap(String(slot + 1))));
  const zones = [0, ...item.responses.map((_, index) => index + 1)].map((rank) =>
    el("li", { class: rank ? "zone" : "zone unplaced", "data-rank": rank }, el("span", { class: "zone-name" }, rank ? t("ranking.nth", { n: rank }) : t("ranking.unplaced"))));
  const hint = el("p", { class: "hint" });
  const tieButton = el("button", { type: "button", class: "quiet", "aria-pressed": "false" }, t("ranking.tie_next"), cap(keyName(bound.equal)));
  const clearButton = el("button", { type: "button", class: "quiet" }, t("ranking.clear"), cap(keyName(bound.clear)));

  const draw = () => {
    ranks.forEach((rank, slot) => {
      if (chips[slot].parentElement !== zones[rank]) zones[rank].append(chips[slot]);
      places[slot].textContent = rank ? t("ranking.chip", { n: rank, count }) : t("ranking.chip_unplaced");
    });
    tieButton.setAttribute("aria-pressed", String(tie));
    hint.textContent = ranks.every(Boolean) ? inOrder(ranks) : t("ranking.hint");
    changed();
  };
  /** @param {number} slot @param {number} rank */
  const move = (slot, rank) => {
    const focused = document.activeElement;
    ranks[slot] = rank;
    draw();
    if (focused === chips[slot]) chips[slot].focus();
    tell(slot);
  };
  /** @param {number} slot */
  const tell = (slot) => announce(letter(slot) + (ranks[slot] ? t("ranking.now", { n: ranks[slot] }) : t("ranking.chip_unplaced")));
  const clear = () => {
    ranks = ranks.map(() => 0);
    tie = false;
    draw();
    announce(t("ranking.cleared"));
  };
  const toggleTie = () => {
    tie = !tie;
    draw();
    announce(tie ? t("ranking.tie_on") : t("ranking.tie_off"));
  };
  tieButton.addEventListener("click", toggleTie);
  clearButton.addEventListener("click", clear);
  chips.forEach((chip, slot) => {
    draggable(chip, zones, (zone) => move(slot, Number(zone.dataset.rank)));
    chip.addEventListener("click", () => chip.dataset.dragged !== "1" && number(slot));
    chip.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      move(slot, Math.max(0, Math.min(count, ranks[slot] + step)));
    });
  });
  /** @param {number} slot */
  const number = (slot) => {
    ranks = typed(ranks, slot, tie);
    tie = false;
    draw();
    tell(slot);
  };
  draw();
  return {
    panel: el(
      "div", { class: "asked ranking", role: "group", "aria-label": t("ranking.question") },
      el("div", { class: "asked-head" }, el("span", { class: "question" }, t("ranking.question")), hint, tieButton, clearButton),
      el("ol", { class: "zones" }, zones),
    ),
    body: null,
    answer: () => (ranks.every(Boolean) ? { ranks: dense(ranks) } : null),
    ask: () => t("ranking.ask"),
    says: () => inOrder(ranks),
    state: () => (ranks.some(Boolean) ? { ranks } : null),
    restore: (state) => {
      ranks = item.responses.map((_, slot) => Number(state?.ranks?.[slot]) || 0);
      draw();
    },
    act: (action) => {
      const typedSlot = /^number:(\d)$/.exec(action)?.[1];
      if (typedSlot && Number(typedSlot) <= count) number(Number(typedSlot) - 1);
      else if (action === "equal") toggleTie();
      else if (action === "clear") clear();
      else return false;
      return true;
    },
  };
}
