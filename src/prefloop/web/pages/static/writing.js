/** Writing: a response mended by hand (edit) or written anew (demonstration). */

import { el, uuid } from "./dom.js";
import { choices } from "./choices.js";
import { letter, t } from "./words.js";

/** @param {string} label @param {() => void} changed */
function editor(label, changed) {
  const id = uuid();
  const text = el("textarea", { id, class: "editor", dir: "auto", rows: 10, maxlength: 40000, spellcheck: "true" });
  const size = el("span", { class: "size" });
  const count = () => {
    size.textContent = t("writing.size", { n: [...text.value].length });
  };
  text.addEventListener("input", () => {
    count();
    changed();
  });
  count();
  const box = el("section", { class: "pane writing" }, el("header", { class: "pane-head" }, el("label", { for: id }, label), size), text);
  return { text, box, count };
}

/** @param {import("./types.js").Place} place @returns {import("./types.js").View} */
export function demonstration({ changed }) {
  const { text, box, count } = editor(t("writing.yours"), changed);
  return {
    panel: el("div", { class: "asked" }, el("span", { class: "question" }, t("demonstration.question")), el("p", { class: "hint" }, t("writing.hint"))),
    body: box,
    answer: () => (text.value.trim() ? { text: text.value } : null),
    ask: () => {
      text.focus();
      return t("demonstration.ask");
    },
    says: () => `${text.value.trim().slice(0, 60)}`,
    state: () => (text.value ? { text: text.value } : null),
    restore: (state) => {
      text.value = String(state?.text ?? "");
      count();
    },
    act: () => false,
  };
}

/** @param {import("./types.js").Place} place @returns {import("./types.js").View} */
export function edit({ item, panes, changed, announce }) {
  const { text, box, count } = editor(t("writing.mended"), changed);
  const several = item.responses.length > 1;
  let slot = several ? -1 : 0;
  let insisted = false;
  const original = () => item.responses[slot]?.text ?? "";
  const again = el("button", { type: "button", class: "quiet" }, t("edit.again"));
  const which = choices({
    legend: t("edit.which"),
    options: item.responses.map((_, index) => ({ value: String(index), label: letter(index), key: String(index + 1) })),
    changed: () => choose(Number(which.value)),
  });
  /** @param {number} index */
  const choose = (index) => {
    if (index === slot) return;
    slot = index;
    insisted = false;
    which.set(String(index));
    text.value = original();
    mark();
    changed();
    announce(t("edit.chosen", { letter: letter(index) }));
  };
  const mark = () => {
    text.disabled = slot < 0;
    again.disabled = slot < 0;
    panes.forEach((pane, index) => pane.classList.toggle("chosen", several && index === slot));
    count();
  };
  again.addEventListener("click", () => {
    text.value = original();
    count();
    changed();
    text.focus();
  });
  text.addEventListener("input", () => (insisted = false));
  if (slot === 0) text.value = original();
  mark();
  const unchanged = () => text.value === original();
  return {
    panel: el(
      "div", { class: "asked" }, several ? which.element : el("span", { class: "question" }, t("edit.question")),
      el("p", { class: "hint" }, t("writing.hint")), again,
    ),
    body: box,
    answer: () => (slot >= 0 && text.value.trim() && (insisted || !unchanged()) ? { slot, text: text.value } : null),
    ask: () => {
      if (slot < 0) {
        which.attract();
        return t("edit.ask_which");
      }
      insisted = Boolean(text.value.trim()); // a second time means: it is right as it is
      text.focus();
      return insisted ? t("edit.unchanged") : t("edit.ask");
    },
    says: () => (unchanged() ? t("edit.says_unchanged") : `${text.value.trim().slice(0, 60)}`),
    state: () => (slot >= 0 && !unchanged() ? { slot, text: text.value } : null),
    restore: (state) => {
      if (!state) return;
      slot = Number(state.slot) || 0;
      which.set(String(slot));
      text.value = String(state.text ?? original());
      insisted = state.text !== undefined && unchanged();
      mark();
    },
    act: (action) => {
      const typed = Number(/^number:(\d)$/.exec(action)?.[1] ?? 0);
      if (!several || !typed || typed > item.responses.length) return false;
      choose(typed - 1);
      return true;
    },
  };
}
