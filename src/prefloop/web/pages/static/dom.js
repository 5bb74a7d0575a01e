/** Small makers of elements. Nothing here, and nothing that uses it, ever parses a string as HTML. */

/** Letters that are not seen but change what is seen; pages/marks.py has the same table, and says why. */
const HIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}]|(?<![\u0590-\u1fff\u2190-\u2bff\u3030\u303d\ufe0f\u{1f000}-\u{1faff}])[\u200c\u200d]|(?<![#*0-9\xa9\xae\u1800-\u18af\u2030-\u33ff\u3400-\u9fff\uf900-\ufaff\u{1f000}-\u{3ffff}])[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu;

/** The text with a mark in the place of each letter that is not seen. @param {string} text */
export function visible(text) {
  return text.replace(HIDDEN, (letter) => `⟦U+${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}⟧`);
}

/** Text for the page. @param {string} text */
export function words(text) {
  return document.createTextNode(visible(text));
}

/**
 * An element with attributes and children; an attribute that is false, null or undefined is left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 * @param {...(Node | string | null | undefined | false | (Node | string)[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : visible(String(value)));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) node.append(typeof child === "string" ? words(child) : child);
  }
  return node;
}

/**
 * The element with an id, which the template promises.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`#${id}`);
  return node;
}

/** True if keys typed into a node are text. @param {EventTarget | null} target */
export function isText(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["radio", "checkbox", "button", "submit", "range"].includes(target.type);
}

/** A key as it is drawn on the screen. @param {string} key */
export function cap(key) {
  return el("kbd", { "aria-hidden": "true" }, key);
}

/** The content of a <meta> that the template wrote. @param {string} name */
export function meta(name) {
  return document.querySelector(`meta[name="prefloop-${name}"]`)?.getAttribute("content") ?? "";
}

/** A random identifier (UUID 4) that also works on plain http in a local network. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Runs something after the next paint, so that it never delays one. @param {() => void} work */
export function afterPaint(work) {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    work();
  };
  requestAnimationFrame(() => setTimeout(once, 0));
  setTimeout(once, 100); // a hidden tab paints nothing
}
