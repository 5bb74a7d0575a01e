/** What this browser remembers. Falls back to memory where storage is refused or full, and says so. */

/** @type {Map<string, string>} */
const memory = new Map();
let closed = false;

/** Somebody signed out: from now on nothing is kept. */
export function close() {
  closed = true;
}

/** @param {string} key @returns {string | null} */
export function recall(key) {
  if (memory.has(key)) return memory.get(key) ?? null;
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * Keeps a value; false if it is only in memory and a reload would lose it.
 * @param {string} key @param {string} value
 */
export function keep(key, value) {
  if (closed) return true;
  try {
    localStorage.setItem(key, value);
    memory.delete(key);
    return true;
  } catch {
    memory.set(key, value);
    return false;
  }
}

/** @param {string} key */
export function forget(key) {
  memory.delete(key);
  try {
    localStorage.removeItem(key);
  } catch {
    return;
  }
}

/** All keys that begin with a prefix, in order. @param {string} prefix */
export function keys(prefix) {
  const found = new Set([...memory.keys()].filter((key) => key.startsWith(prefix)));
  try {
    for (let index = 0; index < localStorage.length; index += 1) {
      const key = localStorage.key(index);
      if (key?.startsWith(prefix)) found.add(key);
    }
  } catch {
    return [...found].sort();
  }
  return [...found].sort();
}

/** True while something is only in memory. */
export function fragile() {
  return memory.size > 0;
}

/** A parsed value, or a default. @param {string} key @param {any} otherwise */
export function recalled(key, otherwise) {
  const text = recall(key);
  if (text === null) return otherwise;
  try {
    return JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Choices of this device: guideline open, scroll locked, and the like. @param {string} name @param {boolean} otherwise */
export function option(name, otherwise) {
  const value = recall(`prefloop.option.${name}`);
  return value === null ? otherwise : value === "1";
}

/** @param {string} name @param {boolean} value */
export function setOption(name, value) {
  keep(`prefloop.option.${name}`, value ? "1" : "0");
}
