/** The page's words, as the server wrote them into the page in the reader's language. */

import { meta } from "./dom.js";

/** @type {Record<string, string>} */
const table = JSON.parse(meta("words") || "{}");

/** The reader's language. */
export const language = document.documentElement.lang || "en";

/**
 * The words of a key, with {values} filled in; a key that is missing shows itself.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const words = table[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** True if there are words for a key. @param {string} key */
export function has(key) {
  return key in table;
}

/** The word for an axis of quality; one that the table does not know keeps its own name. @param {string} name */
export function axis(name) {
  return has(`axis.${name}`) ? t(`axis.${name}`) : name.replaceAll("_", " ");
}

/** A tag that prefloop itself gave, in the reader's language. @param {string} name */
export function tagged(name) {
  return has(`tag.${name}`) ? t(`tag.${name}`) : name;
}

/** A response's letter: A, B, C. @param {number} slot */
export function letter(slot) {
  return String.fromCharCode(65 + slot);
}

/** A time of day, or a date with it when it was not today. @param {number} seconds UTC */
export function when(seconds) {
  const time = new Date(seconds * 1000);
  const today = time.toDateString() === new Date().toDateString();
  const options = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language, /** @type {Intl.DateTimeFormatOptions} */ (options)).format(time);
}
