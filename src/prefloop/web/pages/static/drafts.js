/** Half-done answers: kept in this browser at once, and on the server every few seconds, which also prolongs the lease. */

import { Refused, call } from "./api.js";
import { storable } from "./outbox.js";
import { forget, keep, keys, recalled } from "./store.js";

/** @typedef {import("./types.js").Draft} Draft */

const LATER = 3000;
const BEAT = 60000;

export class Drafts {
  /** @param {string} user @param {(id: string) => void} lost called when the item is no longer this one's */
  constructor(user, lost, send = call) {
    this.prefix = `prefloop.draft.${user}.`;
    this.lost = lost;
    this.send = send;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.told = Date.now();
  }

  /** The newer of the server's and this browser's. @param {{id: string, draft: Draft | null}} item @returns {Draft | null} */
  newest(item) {
    const here = /** @type {Draft | null} */ (recalled(this.prefix + item.id, null));
    if (!here || !item.draft) return here ?? item.draft;
    return (item.draft.at ?? 0) > here.at ? item.draft : here;
  }

  /** @param {string} id of the presentation @param {Draft} draft */
  keep(id, draft) {
    keep(this.prefix + id, JSON.stringify(draft));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tell(id, draft), LATER);
  }

  /** Prolongs the lease of something that is being worked on. @param {string} id @param {() => Draft} draft */
  beat(id, draft) {
    if (Date.now() - this.told > BEAT) void this.tell(id, draft());
  }

  /** @param {string} id @param {Draft} draft */
  async tell(id, draft) {
    this.told = Date.now();
    try {
      await this.send("PUT", `/presentations/${encodeURIComponent(id)}/draft`, { draft: storable(draft) });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 404 || error.status === 409) this.lost(id);
    }
  }

  /** Answered or given back: no draft any more. @param {string} id */
  drop(id) {
    this.told = Date.now(); // the next item's lease is fresh
    clearTimeout(this.timer);
    forget(this.prefix + id);
  }

  /** Forgets drafts that nobody came back to for two weeks. */
  tidy() {
    for (const key of keys(this.prefix)) if (Date.now() - (recalled(key, { at: 0 }).at ?? 0) > 14 * 86400000) forget(key);
  }
}
