/** The guideline beside the item: its version, whether it is open, and a notice when it has changed. */

import { Refused, call } from "./api.js";
import { byId, cap, el, visible } from "./dom.js";
import { name } from "./keys.js";
import { keep, option, recall, setOption } from "./store.js";
import { grown } from "./tree.js";
import { t } from "./words.js";

export class Guideline {
  /** @param {string} user @param {string} key that opens and closes it @param {() => void} release gives the focus back to the item */
  constructor(user, key, release) {
    this.release = release;
    this.key = `prefloop.guideline.${user}`;
    this.aside = byId("guideline");
    this.text = byId("guideline-text");
    this.toggle = byId("guideline-toggle");
    this.notice = byId("guideline-notice");
    /** @type {number | null} */
    this.version = null;
    this.asked = 0;
    this.open = option("guideline", window.innerWidth >= 1100);
    this.toggle.addEventListener("click", () => this.turn());
    byId("guideline-close").addEventListener("click", () => this.turn(false));
    byId("guideline-read").addEventListener("click", () => this.turn(true));
    byId("guideline-dismiss").addEventListener("click", () => {
      this.acknowledge();
      this.release();
    });
    this.toggle.append(cap(name(key)));
    this.draw();
  }

  /** @param {boolean} [open] */
  turn(open = !this.open) {
    this.open = open;
    setOption("guideline", open);
    this.draw();
    if (open) {
      this.acknowledge();
      this.text.focus({ preventScroll: true });
    } else this.release();
  }

  draw() {
    this.aside.hidden = !this.open;
    this.toggle.setAttribute("aria-expanded", String(this.open));
    document.body.classList.toggle("with-guideline", this.open);
  }

  acknowledge() {
    if (this.version === null) return;
    keep(this.key, String(this.version));
    this.notice.hidden = true;
  }

  /** An item is shown that was leased under a version: fetches it if this page does not have it. @param {number} version */
  need(version) {
    if (this.version !== null && version <= this.version) return;
    if (this.asked === version) return;
    this.asked = version;
    void this.load();
  }

  async load() {
    try {
      const { version, tree, note } = await call("GET", "/guideline");
      const before = recall(this.key);
      this.version = version;
      this.text.replaceChildren(version ? grown(tree) : el("p", { class: "none" }, t("guideline.none")));
      byId("guideline-version").textContent = version ? t("guideline.version", { n: version }) : "";
      if (before === null) this.acknowledge(); // the first one that is ever seen here is no change
      byId("guideline-note").textContent = visible(note);
      this.notice.hidden = recall(this.key) === String(version);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.asked = 0; // the next item asks again
    }
  }
}
