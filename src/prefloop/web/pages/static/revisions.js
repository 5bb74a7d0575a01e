/** The last judgements made in this browser, with what was shown, so that each can be reopened, also after a reload. */

import { keep, recall, recalled } from "./store.js";

/** @typedef {import("./types.js").Past} Past */

const MOST = 12;

export class Revisions {
  /** @param {string} user @param {string} purpose each queue, and the chat, has its own */
  constructor(user, purpose = "work") {
    this.key = purpose === "work" ? `prefloop.past.${user}` : `prefloop.past.${purpose}.${user}`;
    this.reopen = `prefloop.reopen.${user}`;
    /** @type {Past[]} oldest first */
    this.list = recalled(this.key, []);
  }

  /** @returns {Past | null} */
  get last() {
    return this.list.at(-1) ?? null;
  }

  /** The one before another, or the last. @param {Past | null} past @returns {Past | null} */
  before(past) {
    const index = past ? this.list.indexOf(past) : this.list.length;
    return index > 0 ? this.list[index - 1] : null;
  }

  /** @param {Past} decided @param {Past | null} instead the one that it revises */
  add(decided, instead) {
    const index = instead ? this.list.indexOf(instead) : -1;
    if (index >= 0) this.list[index] = decided;
    else this.list = [...this.list, decided].slice(-MOST);
    setTimeout(() => keep(this.key, JSON.stringify(this.list)), 0);
  }

  /** @param {string} judgement */
  drop(judgement) {
    this.list = this.list.filter((past) => past.judgement !== judgement);
    keep(this.key, JSON.stringify(this.list));
  }

  /** Forgets the others. @param {(past: Past) => boolean} stays */
  only(stays) {
    const kept = this.list.filter(stays);
    if (kept.length === this.list.length) return;
    this.list = kept;
    setTimeout(() => keep(this.key, JSON.stringify(this.list)), 0);
  }

  /** Says in this language what was said in another. @param {string} language @param {(past: Past) => string} says */
  tell(language, says) {
    for (const past of this.list) if (past.language !== language) Object.assign(past, { says: says(past), language });
  }

  /** True if nothing was changed. @param {Past} past @param {any} state @param {string} comment */
  same(past, state, comment) {
    return past.comment === comment && JSON.stringify(past.state) === JSON.stringify(state);
  }

  /** A judgement that the history page asked to reopen. @param {string | null} judgement @returns {Past | null} */
  wanted(judgement) {
    if (!judgement) return null;
    const here = this.list.find((past) => past.judgement === judgement);
    if (here) return here;
    const handed = JSON.parse(recall(this.reopen) ?? "null");
    return handed?.judgement === judgement ? handed : null;
  }
}
