/**
 * Trees become elements, by an allow-list of our own: what the server sends is checked again here.
 * Text is only ever set as text. A tag that is not known keeps its words and loses its tag.
 */

import { words } from "./dom.js";

/** @typedef {import("./types.js").Tree} Tree */

/** @type {Record<string, keyof HTMLElementTagNameMap>} A heading of a response must not disturb the page's own outline. */
const TAGS = {
  p: "p", br: "br", hr: "hr", strong: "strong", b: "strong", em: "em", i: "em", s: "s", del: "del", ins: "ins", sub: "sub", sup: "sup",
  code: "code", pre: "pre", kbd: "kbd", blockquote: "blockquote", ul: "ul", ol: "ol", li: "li", dl: "dl", dt: "dt", dd: "dd",
  h1: "h4", h2: "h5", h3: "h6", h4: "h6", h5: "h6", h6: "h6", a: "a",
  table: "table", thead: "thead", tbody: "tbody", tr: "tr", th: "th", td: "td",
};
const DIRECTED = new Set(["p", "li", "dt", "dd", "h4", "h5", "h6", "td", "th", "blockquote"]);
const DEEPEST = 60;

/** An address that may be followed, or null. @param {string} text */
export function address(text) {
  if (!/^(https?:|mailto:)/i.test(text.trim())) return null;
  try {
    const url = new URL(text.trim());
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** @param {HTMLElement} node @param {string} tag @param {Record<string, string>} attributes */
function decorate(node, tag, attributes) {
  if (DIRECTED.has(tag)) node.dir = "auto";
  if (tag === "pre") {
    node.dir = "ltr";
    node.tabIndex = 0;
  }
  if (node instanceof HTMLAnchorElement) {
    const href = address(String(attributes.href ?? ""));
    if (href === null) return;
    node.href = href;
    node.rel = "noopener noreferrer nofollow";
    node.target = "_blank";
  }
  if (tag === "td" || tag === "th") node.className = { right: "to-end", center: "to-center" }[attributes.align] ?? "";
  if (node instanceof HTMLOListElement && /^\d{1,6}$/.test(String(attributes.start ?? ""))) node.start = Number(attributes.start);
}

/** @param {Tree} tree @param {number} depth @returns {Node} */
function grow(tree, depth) {
  if (!Array.isArray(tree)) return words(String(tree ?? ""));
  const [name, attributes, children] = tree;
  const known = Object.hasOwn(TAGS, String(name)) && depth < DEEPEST;
  const tag = known ? TAGS[String(name)] : "span";
  const node = document.createElement(tag);
  if (known) decorate(node, tag, attributes && typeof attributes === "object" ? attributes : {});
  for (const child of Array.isArray(children) ? children : []) node.append(depth < DEEPEST ? grow(child, depth + 1) : flat(child));
  return node;
}

/** The words of a tree, however deep, without recursion. @param {Tree} tree */
export function flat(tree) {
  const waiting = [tree];
  let words = "";
  while (waiting.length) {
    const next = waiting.pop();
    if (!Array.isArray(next)) words += String(next ?? "");
    else if (Array.isArray(next[2])) waiting.push(...[...next[2]].reverse());
  }
  return words;
}

/**
 * A forest as elements; a forest that is one string is one paragraph.
 * @param {Tree[] | Tree | null | undefined} forest
 * @returns {DocumentFragment}
 */
export function grown(forest) {
  const fragment = document.createDocumentFragment();
  const single = typeof forest === "string" || (Array.isArray(forest) && typeof forest[0] === "string" && Array.isArray(forest[2]));
  /** @type {Tree[]} */
  const trees = single ? [/** @type {Tree} */ (forest)] : /** @type {Tree[]} */ (forest ?? []);
  for (const tree of trees) {
    fragment.append(Array.isArray(tree) ? grow(tree, 0) : grow(["p", {}, [String(tree)]], 0));
  }
  return fragment;
}
