/** The bar at the foot of the page: what is asked, confirm, undo, skip, flag, comment. */

import { byId, cap, el, visible } from "./dom.js";
import { name as keyName } from "./keys.js";
import { option } from "./store.js";
import { t } from "./words.js";

const BUTTONS = ["confirm", "undo", "skip", "flag", "comment", "raw", "lock", "help", "current"];

export class Bar {
  /** @param {Record<string, string>} bound @param {(action: string) => void} act @param {() => void} release gives the focus back to the item */
  constructor(bound, act, release) {
    this.bar = byId("bar");
    this.asked = byId("asked");
    this.note = byId("hint");
    this.revision = byId("revision");
    this.box = byId("comment-box");
    this.text = /** @type {HTMLTextAreaElement} */ (byId("comment-text"));
    /** @type {Record<string, HTMLButtonElement>} */
    this.buttons = {};
    for (const name of BUTTONS) {
      const button = /** @type {HTMLButtonElement} */ (byId(`do-${name}`));
      this.buttons[name] = button;
      if (bound[name]) button.append(cap(keyName(bound[name])));
      button.addEventListener("click", (event) => {
        if (event.detail > 1 && name === "confirm") return; // the second half of a double click belongs to no item
        act(name);
        if (event.detail > 0 && document.activeElement === button) release(); // after a click, Enter is for the item again
      });
    }
    this.text.addEventListener("input", () => this.bar.dispatchEvent(new Event("comment")));
    this.undoSays = byId("undo-says");
    this.options();
  }

  get comment() {
    return this.text.value.trim();
  }

  /** @param {ReturnType<typeof import("./item.js").build>} built @param {{comment: string, revising: boolean, past: import("./types.js").Past | null}} given */
  show({ view, item }, { comment, revising, past }) {
    this.asked.replaceChildren(view.panel);
    this.bar.dataset.kind = item.kind;
    this.text.value = comment;
    this.box.hidden = !comment;
    this.note.textContent = "";
    this.draw({ past, shown: true, revising });
    this.answered(view);
    this.buttons.lock.hidden = item.responses.length < 2;
    this.buttons.raw.hidden = item.responses.length < 1;
  }

  /** @param {{past: import("./types.js").Past | null, shown: boolean, revising?: boolean}} given */
  draw({ past, shown, revising = false }) {
    this.bar.classList.toggle("idle", !shown);
    this.revision.hidden = !revising;
    for (const name of ["confirm", "flag", "comment", "raw", "lock"]) this.buttons[name].disabled = !shown;
    this.buttons.skip.disabled = !shown || revising;
    this.buttons.undo.disabled = past === null;
    this.undoSays.textContent = past ? visible(past.says) : "";
    if (!shown) {
      this.asked.replaceChildren();
      this.box.hidden = true;
      this.note.textContent = "";
    }
  }

  /** Confirm looks ready when it is; where one choice is all, it is there only if an answer waits. @param {import("./types.js").View} view */
  answered(view) {
    const ready = view.answer() !== null;
    this.buttons.confirm.classList.toggle("ready", ready);
    this.buttons.confirm.hidden = Boolean(view.single) && !ready;
    if (ready) this.note.textContent = "";
  }

  /** @param {string} text */
  hint(text) {
    this.note.textContent = text;
  }

  /** @param {string} text */
  wait(text) {
    this.asked.replaceChildren(el("p", { class: "question" }, text));
    for (const name of BUTTONS) this.buttons[name].disabled = name !== "help";
  }

  /** Shows calibration's feedback; confirm goes on. @param {HTMLElement} note */
  explain(note) {
    this.asked.replaceChildren(note);
    this.buttons.confirm.disabled = this.buttons.confirm.hidden = false;
    this.buttons.confirm.classList.add("ready");
    this.note.textContent = t("feedback.go_on");
    this.buttons.confirm.focus({ preventScroll: true });
  }

  openComment() {
    const open = this.box.hidden || document.activeElement !== this.text;
    this.box.hidden = !open && !this.comment;
    if (open) this.text.focus();
  }

  /** The state of the choices that stay: raw text, locked scroll. */
  options() {
    for (const name of ["raw", "lock"]) this.buttons[name].setAttribute("aria-pressed", String(option(name, false)));
  }
}
