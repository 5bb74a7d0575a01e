/** One tab judges at a time: the newest. The others wait, so that nobody decides one item twice. */

import { uuid } from "./dom.js";
import { keep, recall } from "./store.js";

export class Tab {
  /** @param {string} user @param {() => void} lost called when another tab takes over */
  constructor(user, lost) {
    this.key = `prefloop.tab.${user}`;
    this.id = uuid();
    this.active = false;
    addEventListener("storage", (event) => {
      if (event.key !== this.key || !this.active || [this.id, null].includes(recall(this.key))) return; // null: somebody else came
      this.active = false;
      lost();
    });
  }

  /** From now on, this one. */
  claim() {
    this.active = true;
    keep(this.key, this.id);
  }
}
