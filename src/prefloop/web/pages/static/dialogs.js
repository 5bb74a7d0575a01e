/** Questions that stand in front of the page: why an item is skipped, what is wrong with it, that the session is over. */

import { Refused, call } from "./api.js";
import { el, meta } from "./dom.js";
import { choices } from "./choices.js";
import { t } from "./words.js";

const REASONS = ["unclear", "expertise", "language", "upsetting", "broken", "other"];

/**
 * A modal dialog; resolves to what `finish` was given, or null if it was left.
 * @template T
 * @param {string} title
 * @param {(finish: (value: T | null) => void) => (Node | null)[]} fill
 * @param {{leave?: boolean}} [options] leave: Escape closes it
 * @returns {Promise<T | null>}
 */
export function ask(title, fill, { leave = true } = {}) {
  const before = document.activeElement;
  return new Promise((resolve) => {
    const box = el("dialog", { class: "dialog", "aria-label": title });
    /** @param {T | null} value */
    const finish = (value) => {
      box.close();
      box.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
      resolve(value);
    };
    box.append(el("h2", {}, title), ...fill(finish).filter((node) => node !== null));
    box.addEventListener("cancel", (event) => {
      event.preventDefault();
      if (leave) finish(null);
    });
    document.body.append(box);
    box.showModal();
  });
}

/** @param {() => void} no @param {() => void} yes @param {string} label */
function buttons(no, yes, label) {
  const back = el("button", { type: "button", class: "quiet" }, t("dialog.back"));
  const go = el("button", { type: "button", class: "primary" }, label);
  back.addEventListener("click", no);
  go.addEventListener("click", yes);
  return el("div", { class: "dialog-buttons" }, back, go);
}

/** @param {HTMLElement} box @param {() => void} done */
function enters(box, done) {
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229 || event.repeat) return;
    if (event.target instanceof HTMLTextAreaElement && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    done();
  });
}

/** Why somebody skips. @param {string} says what becomes of the item @returns {Promise<{reason: string, comment: string} | null>} */
export function askSkip(says) {
  return ask(t("skip.title"), (finish) => {
    const error = el("p", { class: "field-error", role: "alert" });
    const reasons = choices({
      legend: t("skip.why"), options: REASONS.map((value, index) => ({ value, label: t(`skip.${value}`), key: String(index + 1) })),
      changed: () => (error.textContent = ""), className: "list",
    });
    const comment = el("textarea", { rows: 2, dir: "auto", maxlength: 2000 });
    const done = () => {
      if (reasons.value) return finish({ reason: reasons.value, comment: comment.value.trim() });
      error.textContent = t("skip.ask");
      reasons.attract();
    };
    const box = el("div", {}, el("p", { class: "small" }, says), reasons.element, el("label", { class: "field" }, el("span", {}, t("dialog.comment")), comment), error);
    box.addEventListener("keydown", (event) => {
      const reason = REASONS[Number(event.key) - 1];
      if (!reason || event.target === comment || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      reasons.set(reason);
      error.textContent = "";
    });
    enters(box, done);
    return [box, buttons(() => finish(null), done, t("skip.do"))];
  });
}

/** What is wrong with an item, for the lead. @returns {Promise<string | null>} */
export function askFlag() {
  return ask(t("flag.title"), (finish) => {
    const comment = el("textarea", { rows: 4, dir: "auto", maxlength: 2000 });
    const error = el("p", { class: "field-error", role: "alert" });
    const done = () => {
      if (comment.value.trim()) return finish(comment.value.trim());
      error.textContent = t("flag.ask");
      comment.focus();
    };
    const box = el("div", {}, el("label", { class: "field" }, el("span", {}, t("flag.says")), comment), error);
    enters(box, done);
    return [box, buttons(() => finish(null), done, t("flag.do"))];
  });
}

/** The keys of this item's kind, in a dialog. @param {[string, string][]} rows key and what it does */
export function showKeys(rows) {
  return ask(t("help.keys"), (finish) => {
    const list = el("dl", { class: "keys" }, rows.flatMap(([key, does]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, does)]));
    const close = el("button", { type: "button", class: "primary" }, t("dialog.close"));
    close.addEventListener("click", () => finish(null));
    return [list, el("p", { class: "small" }, el("a", { href: "/preferences#keys" }, t("help.change"))), el("div", { class: "dialog-buttons" }, close)];
  });
}

let expiredShown = false;

/** Empty if the page's user is signed in again, else why not. @param {string} code what it was before */
async function still(code) {
  try {
    await call("GET", "/me");
    return "";
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return error.expired ? error.code : code;
  }
}

/**
 * Asks to sign in again. Resolves to "" when that is done, or to another reason if it is now another one.
 * @param {string} code @param {() => number} waiting
 */
async function askSignIn(code, waiting) {
  const other = code === "other_user";
  let look = () => {};
  const now = await ask(t(other ? "other.title" : "expired.title"), (finish) => {
    const link = el("a", { href: `/login?next=${encodeURIComponent(location.pathname + location.search)}`, class: "button primary" }, t("expired.sign_in"));
    const tab = el("a", { href: "/login?next=/signed-in", target: "_blank", rel: "noopener", class: "small" }, t("expired.other_tab"));
    const stay = el("a", { href: "/", class: "small" }, t("other.stay"));
    const retry = el("button", { type: "button", class: "quiet" }, t("expired.again"));
    look = () => void still(code).then((next) => next !== code && finish(next));
    retry.addEventListener("click", look);
    document.addEventListener("visibilitychange", look); // coming back from the other tab
    const says = other ? "other.says" : waiting() ? "expired.kept" : "expired.nothing";
    return [
      el("p", {}, t(says, { n: waiting(), name: meta("name") })),
      el("div", { class: "dialog-buttons" }, retry, link), el("p", { class: "small" }, tab), other ? el("p", { class: "small" }, stay) : null,
    ];
  }, { leave: false });
  document.removeEventListener("visibilitychange", look);
  return now ?? "";
}

/** The session is over, or is somebody else's; nothing is lost. @param {string} code @param {() => number} waiting @param {() => void} again */
export async function showExpired(code, waiting, again) {
  if (expiredShown) return;
  expiredShown = true;
  for (let now = code; now; ) now = await askSignIn(now, waiting);
  expiredShown = false;
  again();
}
