/** What is to be judged next: up to ten items are held, for when the network is away, and what was answered here is never shown again. */

import { Refused, ahead, call } from "./api.js";

/** @typedef {import("./types.js").Presentation} Presentation */

const MOST = 10;
/** So many behind the one on the page, or fewer, and more are asked for. */
const FEW = 6;
const AGAIN = 10000;

/** Tells "filled" when something came, "dry" when there is nothing, "failed" with the error. */
export class Queue extends EventTarget {
  /** @param {(presentation: string) => boolean} waiting true if an answer about it has yet to be sent @param {string} purpose which queue */
  constructor(waiting, purpose = "work", ask = call) {
    super();
    this.waiting = waiting;
    this.purpose = purpose;
    this.ask = ask;
    /** @type {Presentation[]} */
    this.items = [];
    /** @type {Set<string>} */
    this.done = new Set();
    /** @type {string | null} The item on the page. */
    this.current = null;
    /** @type {string | null} Why there is nothing. */
    this.empty = null;
    /** @type {Refused | null} */
    this.error = null;
    /** @type {{today: number, left: number} | undefined} As told last. */
    this.progress = undefined;
    this.asking = false;
    this.stale = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** The next item, or undefined; what was leased for too long is left to others. @returns {Presentation | undefined} */
  take() {
    this.items = this.items.filter((item) => item.expires * 1000 > Date.now() + ahead);
    const item = this.items.shift();
    this.current = item?.id ?? null;
    return item;
  }

  /** Puts an item back at the head: somebody went back to the one before. @param {Presentation} item */
  putBack(item) {
    this.items.unshift(item);
    this.done.delete(item.id);
  }

  /** Never to be shown again. @param {string} id */
  finish(id) {
    this.done.add(id);
    this.items = this.items.filter((item) => item.id !== id);
  }

  /** Asks for more if there is room; asked while asking, it asks once more afterwards. */
  async fill() {
    if (this.asking) {
      this.stale = true;
      return;
    }
    if (this.items.length > FEW) return;
    clearTimeout(this.timer);
    this.asking = true;
    this.stale = false;
    try {
      this.takeIn(await this.ask("POST", "/leases", { count: MOST, purpose: this.purpose }));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.error = error;
      this.timer = setTimeout(() => this.fill(), Math.max(3000, error.after * 1000));
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    } finally {
      this.asking = false;
      if (this.stale) void this.fill();
    }
  }

  /** @param {{presentations: Presentation[], empty: string | null}} reply */
  takeIn({ presentations, empty }) {
    this.error = null;
    const told = new Map(presentations.map((item) => [item.id, item.expires]));
    for (const item of this.items) item.expires = told.get(item.id) ?? item.expires; // a lease asked for again begins anew
    this.progress = presentations.at(-1)?.progress ?? this.progress;
    const had = new Set([...this.items.map((item) => item.id), this.current]);
    const fresh = presentations.filter((item) => !had.has(item.id) && !this.done.has(item.id) && !this.waiting(item.id));
    this.items.push(...fresh);
    this.empty = this.items.length ? null : empty ?? (presentations.length ? null : "waiting");
    if (!this.items.length) this.timer = setTimeout(() => this.fill(), AGAIN);
    this.dispatchEvent(new Event(this.items.length ? "filled" : "dry"));
  }
}
