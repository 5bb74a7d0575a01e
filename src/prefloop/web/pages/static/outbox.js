/**
 * Everything that must reach the server goes through here: written down first, sent in order, tried again until the
 * server has said yes. Each entry is a key of its own in localStorage, so that two tabs cannot overwrite each other, and
 * carries the id it is idempotent by, so that sending it twice is harmless. What the server refuses for good is kept too.
 */

import { Refused, call } from "./api.js";
import { forget, fragile, keep, keys, recalled } from "./store.js";

/** @typedef {import("./types.js").Entry} Entry */

const LONGEST = 20000;
let counter = 0;

/** Only text that can be stored: no NUL, no half of a character. @param {any} value @returns {any} */
export function storable(value) {
  if (typeof value === "string") return value.replaceAll("\0", "").replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");
  if (Array.isArray(value)) return value.map(storable);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, storable(inner)]));
  return value;
}

/** Tells "sent", "refused", "expired" and "changed". */
export class Outbox extends EventTarget {
  /** @param {string} user @param {typeof call} send */
  constructor(user, send = call) {
    super();
    this.prefix = `prefloop.out.${user}.`;
    this.aside = `prefloop.refused.${user}.`;
    this.send = send;
    this.failures = 0;
    this.expired = false;
    this.busy = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    addEventListener("online", () => this.again());
    addEventListener("storage", (event) => event.key?.startsWith(this.prefix) && this.tell("changed"));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.again());
    addEventListener("beforeunload", (event) => {
      if (fragile() && this.waiting) event.preventDefault(); // the browser's storage is full: a reload would lose it
    });
  }

  /** Entries not yet acknowledged, oldest first. @returns {[string, Entry][]} */
  entries() {
    return keys(this.prefix).flatMap((key) => {
      const entry = recalled(key, null);
      return entry === null ? [] : [/** @type {[string, Entry]} */ ([key, entry])];
    });
  }

  /** How many entries the server does not have yet. */
  get waiting() {
    return keys(this.prefix).length;
  }

  /** How many the server refused for good. */
  get refused() {
    return keys(this.aside).length;
  }

  /** @returns {"saved" | "saving" | "offline" | "expired"} */
  get state() {
    if (!this.waiting) return "saved";
    if (this.expired) return "expired";
    return this.failures > 0 ? "offline" : "saving";
  }

  /** True if an answer about a presentation is still waiting here. @param {string} presentation */
  holds(presentation) {
    return this.entries().some(([, entry]) => entry.presentation === presentation);
  }

  /** Writes an entry down; `again` sends it. False if only memory could keep it. @param {Entry} entry */
  put(entry) {
    counter = (counter + 1) % 10000;
    const order = `${String(entry.at).padStart(15, "0")}-${String(counter).padStart(4, "0")}`;
    const kept = keep(`${this.prefix}${order}.${entry.id}`, JSON.stringify({ ...entry, body: storable(entry.body) }));
    this.tell("changed");
    return kept;
  }

  /** Tries at once: after a put, when the network is back, when somebody signed in again. */
  again() {
    clearTimeout(this.timer);
    this.timer = undefined;
    void this.work();
  }

  /** Sends entry after entry until none is left or one fails. */
  async work() {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let next = this.entries()[0]; next; next = this.entries()[0]) {
        if (!(await this.deliver(next[0], next[1]))) return;
      }
    } finally {
      this.busy = false;
      this.tell("changed");
    }
  }

  /** True if the next entry may be sent. @param {string} key @param {Entry} entry */
  async deliver(key, entry) {
    try {
      const reply = await this.send("POST", entry.path, entry.body, { key: entry.id });
      this.failures = 0;
      this.expired = false;
      forget(key);
      this.tell("sent", { entry, reply });
      return true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return this.failed(key, entry, error);
    }
  }

  /** @param {string} key @param {Entry} entry @param {Refused} error */
  failed(key, entry, error) {
    if (error.expired) {
      this.expired = true;
      this.tell("expired", error);
      return false;
    }
    if (!error.passing) {
      keep(`${this.aside}${entry.id}`, JSON.stringify({ entry, status: error.status, code: error.code, message: error.message }));
      forget(key);
      this.tell("refused", { entry, error });
      return true;
    }
    this.failures += 1;
    const wait = Math.max(error.after * 1000, Math.min(LONGEST, 500 * 2 ** this.failures) * (0.75 + Math.random() / 2));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.again(), wait);
    this.tell("failed");
    return false;
  }

  /** @param {string} type @param {any} [detail] */
  tell(type, detail = null) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
