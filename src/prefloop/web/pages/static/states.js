/** What stands in the item's place when there is none: each case says what is going on and what can be done. */

import { el } from "./dom.js";
import { announce } from "./status.js";
import { has, t } from "./words.js";

/**
 * @param {HTMLElement} place
 * @param {string} why a code that the words know, or a sentence of the server
 * @param {{again?: () => void, waiting?: number, why?: string}} [options]
 */
export function blank(place, why, { again, waiting = 0, why: detail = "" } = {}) {
  const same = `${why} ${waiting} ${detail}`;
  if (place.firstElementChild instanceof HTMLElement && place.firstElementChild.dataset.same === same) return; // still so: nothing to redraw or to say
  const known = has(`empty.${why}.title`);
  const title = known ? t(`empty.${why}.title`) : t("empty.other.title");
  const says = known ? t(`empty.${why}.says`) : why;
  const box = el(
    "section", { class: `state ${known ? why : "other"}`, tabindex: -1, "aria-label": title, "data-same": same },
    el("p", { class: "state-mark", "aria-hidden": "true" }, { done: "✓", loading: "…", offline: "⇡", away: "⇄" }[why] ?? "·"),
    el("h2", {}, title), el("p", {}, says), detail ? el("p", { class: "small" }, detail) : null,
    waiting ? el("p", { class: "kept" }, t("empty.kept", { n: waiting })) : null,
  );
  if (again && why !== "loading") {
    const button = el("button", { type: "button", class: "primary" }, has(`empty.${why}.do`) ? t(`empty.${why}.do`) : t("empty.again"));
    button.addEventListener("click", again);
    box.append(el("p", {}, button));
  }
  place.replaceChildren(box);
  if (why !== "loading") announce(`${title}. ${says}`);
}

/** Another tab judges now. @param {HTMLElement} place @param {() => void} here */
export function away(place, here) {
  const button = el("button", { type: "button", class: "primary" }, t("empty.away.do"));
  button.addEventListener("click", here);
  blank(place, "away");
  place.firstElementChild?.append(el("p", {}, button));
}
