/** Two responses: left, right, tie or both bad; where the project asks for it, how much better a side is. */

import { el } from "./dom.js";
import { choices } from "./choices.js";
import { letter, t } from "./words.js";

const SIDES = ["left", "right", "tie", "both_bad"];
export const STRENGTHS = ["slightly", "clearly", "much"];

/** @param {import("./types.js").Place} place @returns {import("./types.js").View} */
export function pair({ item, panes, bound, changed, announce }) {
  const names = { a: letter(0), b: letter(1) };
  const isSided = () => choice.value === "left" || choice.value === "right";
  /** @param {boolean} [direct] */
  const decided = (direct = false) => {
    strength.enable(isSided());
    panes.forEach((pane, slot) => pane.classList.toggle("chosen", choice.value === SIDES[slot]));
    panes.forEach((pane) => pane.classList.toggle("rejected", choice.value === "both_bad"));
    changed(direct);
  };
  const choice = choices({
    legend: t("pair.question"),
    options: SIDES.map((value) => ({ value, label: t(`pair.${value}`, names), key: bound[value] })),
    changed: decided,
    className: "sides",
  });
  const strength = choices({
    legend: t("pair.how_much"),
    options: STRENGTHS.map((word, index) => ({ value: String(index + 1), label: t(`pair.${word}`), key: bound[word] })),
    changed,
    className: "strengths",
  });
  strength.enable(false);

  const much = () => (item.strength && isSided() ? Number(strength.value) || null : null);
  const says = () => {
    const side = choice.value ? t(`pair.${choice.value}`, names) : "";
    return much() ? t("pair.says", { side, much: t(`pair.${STRENGTHS[Number(much()) - 1]}`) }) : side;
  };
  return {
    panel: el("div", { class: "asked pair" }, choice.element, item.strength ? strength.element : null),
    body: null,
    single: !item.strength,
    answer: () => (!choice.value || (item.strength && isSided() && !much()) ? null : { choice: choice.value, strength: much() }),
    ask: () => {
      (choice.value ? strength : choice).attract();
      return choice.value ? t("pair.ask_strength") : t("pair.ask_choice");
    },
    says,
    state: () => (choice.value ? { choice: choice.value, strength: strength.value } : null),
    restore: (state) => {
      choice.set(state?.choice ?? null);
      strength.set(state?.strength ? String(state.strength) : null);
      decided();
    },
    act: (action) => {
      if (SIDES.includes(action)) choice.set(action);
      else if (STRENGTHS.includes(action)) {
        if (!item.strength) return false;
        if (!strength.enabled) return true;
        strength.set(String(STRENGTHS.indexOf(action) + 1));
      } else return false;
      decided(true);
      announce(says());
      return true;
    },
  };
}
