/** Calibration: whether an answer was right, what was expected, and why. */

import { el } from "./dom.js";
import { dense, inOrder } from "./ranking.js";
import { grown } from "./tree.js";
import { axis, letter, t } from "./words.js";

/** An answer in words, in the order shown. @param {import("./types.js").Answer | null | undefined} answer @returns {string} */
export function inWords(answer) {
  if (!answer) return "";
  if (answer.choice) {
    const side = t(`pair.${answer.choice}`, { a: letter(0), b: letter(1) });
    const much = ["", "slightly", "clearly", "much"][answer.strength ?? 0];
    return much ? t("pair.says", { side, much: t(`pair.${much}`) }) : side;
  }
  if (answer.ranks) return inOrder(dense(answer.ranks));
  if (answer.ratings) return Object.entries(answer.ratings).map(([name, values]) => `${axis(name)} ${values.join(" / ")}`).join(", ");
  if (answer.thumbs) return answer.thumbs.map((/** @type {boolean} */ good) => t(`thumb.${good ? "up" : "down"}`)).join(", ");
  return String(answer.text ?? "").slice(0, 120);
}

/** @param {any} told @param {import("./types.js").Presentation} item */
export function feedback(told, item) {
  const right = told.right ?? told.correct ?? null;
  const expected = inWords(told.expected);
  return el(
    "div", { class: `feedback ${right ? "right" : "wrong"}`, "data-kind": item.kind },
    el("p", { class: "verdict" }, t(right ? "feedback.right" : "feedback.wrong")),
    expected && !right ? el("p", {}, t("feedback.expected", { answer: expected })) : null,
    told.num_items ? el("p", { class: "small" }, t("feedback.round", { right: told.num_right, done: told.num_done, n: told.num_items })) : null,
    told.passed === true ? el("p", {}, t("feedback.passed")) : null,
    told.passed === false ? el("p", {}, t("feedback.failed")) : null,
    told.explanation ? el("div", { class: "why", dir: "auto" }, grown(told.explanation)) : null,
  );
}
