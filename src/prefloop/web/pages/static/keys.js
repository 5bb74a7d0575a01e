/**
 * Keys and what they do. A key never acts while an input method composes, while somebody writes text, or when it is held
 * down; digits also work where they need Shift (by the key's place), and every action can have another key.
 */

import { isText } from "./dom.js";
import { option } from "./store.js";

/** @type {Record<string, string>} Action -> key, as delivered. */
export const DEFAULTS = {
  left: "1", right: "2", tie: "3", both_bad: "4",
  slightly: "q", clearly: "w", much: "e",
  up: "1", down: "2",
  equal: "t", clear: "0",
  confirm: "Enter", undo: "z", skip: "s", flag: "f", comment: "c",
  guideline: "g", raw: "r", lock: "l", forward: "j", back: "k", help: "?",
};

/** Actions by where they apply; two actions of the same place may not share a key. */
export const PLACES = {
  always: ["confirm", "undo", "skip", "flag", "comment", "guideline", "raw", "lock", "forward", "back", "help"],
  pair: ["left", "right", "tie", "both_bad", "slightly", "clearly", "much"],
  ranking: ["equal", "clear"],
  thumb: ["up", "down"],
};

/** Kinds whose digits name a response or a grade. */
const COUNTED = new Set(["ranking", "rating", "edit"]);

/** What a key is called on the screen. @param {string} key */
export function name(key) {
  return { Enter: "↵", " ": "␣", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" }[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

/** The keys of somebody who may have changed some. @param {Record<string, string> | null | undefined} changed */
export function bindings(changed) {
  const known = Object.entries(changed ?? {}).filter(([action, key]) => action in DEFAULTS && typeof key === "string" && key);
  return { ...DEFAULTS, ...Object.fromEntries(known) };
}

/** Actions that would share a key with another of the same place. @param {Record<string, string>} bound */
export function clashes(bound) {
  /** @type {Set<string>} */
  const found = new Set();
  for (const place of ["pair", "ranking", "thumb"]) {
    const actions = [...PLACES.always, .../** @type {Record<string, string[]>} */ (PLACES)[place]];
    for (const one of actions) for (const two of actions) if (one < two && bound[one] === bound[two]) found.add(one).add(two);
  }
  return found;
}

/** The key pressed, with a digit's place standing for the digit. @param {KeyboardEvent} event */
export function pressed(event) {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  if (digit && event.key.length === 1) return event.shiftKey && event.key !== digit ? event.key : digit;
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/**
 * What a key press asks for, or null.
 * @param {KeyboardEvent} event
 * @param {Record<string, string>} bound
 * @param {string} kind of the item shown
 * @returns {string | null}
 */
export function action(event, bound, kind) {
  if (event.isComposing || event.keyCode === 229 || event.key === "Process" || event.key === "Dead") return null;
  if (isText(event.target)) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) return "confirm";
    return event.key === "Escape" ? "leave" : null;
  }
  if (event.metaKey || event.ctrlKey) {
    if (event.key === "Enter" && !event.repeat) return "confirm";
    return event.key.toLowerCase() === "z" && !event.shiftKey && !event.repeat ? "undo" : null;
  }
  if (event.altKey || !option("shortcuts", true)) return null;
  return plain(event, bound, kind);
}

/** @param {KeyboardEvent} event @param {Record<string, string>} bound @param {string} kind */
function plain(event, bound, kind) {
  const key = pressed(event);
  const own = /** @type {Record<string, string[]>} */ (PLACES)[kind] ?? [];
  const found = [...own, ...PLACES.always].find((one) => bound[one] === key || bound[one].toLowerCase() === key) ?? null;
  if (found === "confirm" && event.target instanceof Element && event.target.closest("button, a[href], summary")) return null;
  if (event.repeat && found !== "forward" && found !== "back") return null;
  if (found) return found;
  if (COUNTED.has(kind) && /^[1-9]$/.test(key)) return `number:${key}`;
  if (kind === "rating" || kind === "thumb") {
    const native = event.target instanceof HTMLInputElement;
    if (!native && /^Arrow/.test(event.key) && !(event.target instanceof Element && event.target.closest(".pane"))) return `move:${event.key.slice(5).toLowerCase()}`;
  }
  return null;
}
