/** A group of radio buttons drawn as large buttons, each with its key beside it. */

import { cap, el, uuid } from "./dom.js";
import { name as keyName } from "./keys.js";

/**
 * @param {object} given
 * @param {string} given.legend
 * @param {{value: string, label: string, key?: string, title?: string}[]} given.options
 * @param {(direct: boolean) => void} given.changed direct: pointed at, not walked over with the arrow keys
 * @param {string} [given.className]
 * @param {boolean} [given.quiet] the legend is only for screen readers
 */
export function choices({ legend, options, changed, className = "", quiet = false }) {
  const group = uuid();
  const inputs = options.map(({ value }) => el("input", { type: "radio", name: group, value }));
  const labels = options.map(({ label, key, title }, index) =>
    el("label", { class: "choice", title }, inputs[index], el("span", { class: "says" }, label), key ? cap(keyName(key)) : null));
  const element = el(
    "fieldset", { class: `choices ${className}`, role: "radiogroup" },
    el("legend", { class: quiet ? "unseen" : null }, legend), el("div", { class: "options" }, labels),
  );
  let direct = false;
  element.addEventListener("click", (event) => (direct = event.detail > 0)); // comes before the change that it makes
  element.addEventListener("change", () => {
    element.classList.remove("asking");
    changed(direct);
  });
  return {
    element,
    /** @returns {string | null} */
    get value() {
      return inputs.find((input) => input.checked)?.value ?? null;
    },
    get enabled() {
      return !element.disabled;
    },
    /** @param {string | null} value */
    set(value) {
      for (const input of inputs) input.checked = input.value === value;
      element.classList.remove("asking");
    },
    /** @param {boolean} enabled */
    enable(enabled) {
      element.disabled = !enabled;
    },
    /** Shows that this is what is missing. */
    attract() {
      element.classList.remove("asking");
      requestAnimationFrame(() => element.classList.add("asking"));
      (inputs.find((input) => input.checked) ?? inputs[0]).focus({ preventScroll: true });
    },
  };
}
