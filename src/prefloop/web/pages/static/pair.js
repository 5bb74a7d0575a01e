/** Two responses: left, right, tie or both bad, and for a side how much better. */

import { el } from "./dom.js";
import { choices } from "./choices.js";
import { letter, t } from "./words.js";

const SIDES = ["left", "right", "tie", "both_bad"];
const STRENGTHS = ["slightly", "clearly", "much"];

/** @param {import("./types.js").Place} place @returns {import("./types.js").View} */
export function pair({ item, panes, bound, changed, announce }) {
  const names = { a: letter(0), b: letter(1) };
  const decided = () => {
    const sided = choice.value === "left" || choice.value === "right";
    strength.enable(sided);
    panes.forEach((pane, slot) => pane.classList.toggle("chosen", choice.value === SIDES[slot]));
    panes.forEach((pane) => pane.classList.toggle("rejected", choice.value === "both_bad"));
    changed();
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

  const needsStrength = () => (choice.value === "left" || choice.value === "right") && !strength.value;
  const says = () => {
    const side = choice.value ? t(`pair.${choice.value}`, names) : "";
    return strength.value && strength.enabled ? t("pair.says", { side, much: t(`pair.${STRENGTHS[Number(strength.value) - 1]}`) }) : side;
  };
  return {
    panel: el("div", { class: "asked pair" }, choice.element, strength.element),
    body: null,
    answer: () => {
      if (!choice.value || needsStrength()) return null;
      return { choice: choice.value, strength: strength.enabled ? Number(strength.value) : null };
    },
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
      else if (STRENGTHS.includes(action) && item.kind === "pair") {
        if (!strength.enabled) return true;
        strength.set(String(STRENGTHS.indexOf(action) + 1));
      } else return false;
      decided();
      announce(says());
      return true;
    },
  };
}
