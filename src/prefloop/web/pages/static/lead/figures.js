/** Numbers, shapes and tables, as the leads' pages show them. */

import { el, visible } from "../dom.js";
import { language, t } from "../words.js";

const SVG = "http://www.w3.org/2000/svg";

/** @param {number | null | undefined} value @param {Intl.NumberFormatOptions} [options] */
export const figure = (value, options = {}) => (value === null || value === undefined ? "–" : new Intl.NumberFormat(language, options).format(value));
/** @param {number | null} value */
export const share = (value) => figure(value, { style: "percent", maximumFractionDigits: 1 });

/** @param {string} name @param {Record<string, string | number>} attributes @param {string} [text] */
export function shape(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  if (text !== undefined) node.textContent = visible(text);
  return node;
}

/** @param {string[]} heads @param {(string | number | Node)[][]} rows */
export function table(heads, rows) {
  const head = el("tr", {}, ...heads.map((name, place) => el("th", { scope: "col", class: place ? "n" : null }, name)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell, place) =>
    place ? el("td", { class: "n" }, typeof cell === "number" ? figure(cell) : cell) : el("th", { scope: "row", dir: "auto" }, typeof cell === "number" ? figure(cell) : cell))));
  if (!rows.length) body.push(el("tr", {}, el("td", { colspan: heads.length, class: "none" }, t("none.yet"))));
  return el("div", { class: "scroll", tabindex: "0" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}
