/**
 * Grades: 1 to 5 on each axis for each response, or a thumb for each response. The bar asks about one response at a time;
 * a cursor walks from cell to cell, and each response's head shows what it was given so far.
 */

import { el } from "./dom.js";
import { choices } from "./choices.js";
import { axis, letter, t } from "./words.js";

const GRADES = ["1", "2", "3", "4", "5"];

/**
 * @param {import("./types.js").Place} place
 * @param {{axes: string[], options: (cell: {axis: string}) => {value: string, label: string, key?: string}[], label: (slot: number, axis: string) => string, sign: (axis: string, value: string) => string}} given
 */
function grid({ item, panes, heads, changed, announce }, { axes, options, label, sign }) {
  let cursor = 0;
  const cells = item.responses.flatMap((_, slot) => axes.map((name) => ({ slot, name })));
  const groups = cells.map(({ slot, name }, index) => {
    const group = choices({
      legend: label(slot, name), options: options({ axis: name }), className: "grades small", quiet: true,
      changed: (direct) => {
        point(index);
        if (direct) return grade(String(group.value));
        mark(index);
        changed(false);
      },
    });
    const row = el("div", { class: "grade-row" }, el("span", { class: "axis", "aria-hidden": "true" }, name ? axis(name) : ""), group.element);
    const given = el("button", { type: "button", class: "given" });
    given.addEventListener("click", () => point(index));
    return { ...group, get value() { return group.value; }, row, given };
  });
  /** The response's head says what it was given. @param {number} index */
  const mark = (index) => {
    const { value, given } = groups[index];
    const { slot, name } = cells[index];
    given.textContent = value ? sign(name, value) : "·";
    given.title = label(slot, name);
    given.setAttribute("aria-label", value ? t("rating.told", { cell: label(slot, name), value: sign(name, value) }) : t("rating.ask", { cell: label(slot, name) }));
  };
  const parts = item.responses.map((_, slot) => {
    const rows = groups.slice(slot * axes.length, (slot + 1) * axes.length);
    if (cells.length > 1) heads[slot].append(...rows.map(({ given }) => given));
    const badge = item.responses.length > 1 ? el("span", { class: "letter", "aria-hidden": "true" }, letter(slot)) : null;
    panes[slot].addEventListener("click", (event) => {
      const open = rows.findIndex((group) => !group.value);
      if (cells[cursor].slot !== slot && !(event.target instanceof Element && event.target.closest("button, a"))) point(slot * axes.length + Math.max(0, open));
    });
    return el("div", { class: "grades-of" }, badge, el("div", { class: "grade-rows" }, rows.map(({ row }) => row)));
  });
  /** @param {number} index */
  const point = (index) => {
    cursor = Math.max(0, Math.min(cells.length - 1, index));
    const { slot } = cells[cursor];
    groups.forEach(({ row, given }, at) => [row, given].forEach((node) => node.classList.toggle("cursor", at === cursor)));
    parts.forEach((part, at) => (part.hidden = at !== slot));
    panes.forEach((pane, at) => pane.classList.toggle("current", at === slot && panes.length > 1));
    panes[slot].scrollIntoView({ block: "nearest" });
  };
  /** @param {string} value */
  const grade = (value) => {
    const { slot, name } = cells[cursor];
    groups[cursor].set(value);
    mark(cursor);
    const open = groups.findIndex((group, index) => index > cursor && !group.value);
    const told = t("rating.told", { cell: label(slot, name), value: sign(name, value) });
    const next = open >= 0 ? open : groups.findIndex((group) => !group.value);
    announce(next >= 0 ? `${told} ${t("rating.next", { cell: label(cells[next].slot, cells[next].name) })}` : `${told} ${t("rating.complete")}`);
    point(next >= 0 ? next : cursor);
    changed(true);
  };
  groups.forEach((_, index) => mark(index));
  point(0);
  return {
    groups, cells, grade, point, parts,
    complete: () => groups.every((group) => group.value),
    /** @param {string} direction */
    step: (direction) => {
      const across = axes.length;
      point(cursor + ({ left: -across, right: across, up: -1, down: 1 }[direction] ?? 0));
      announce(label(cells[cursor].slot, cells[cursor].name));
    },
    ask: () => {
      const open = groups.findIndex((group) => !group.value);
      point(open);
      groups[open].attract();
      return t("rating.ask", { cell: label(cells[open].slot, cells[open].name) });
    },
    values: () => groups.map((group) => group.value),
    /** @param {(string | null)[] | undefined} values */
    restore: (values) => {
      groups.forEach((group, index) => {
        group.set(values?.[index] ?? null);
        mark(index);
      });
      point(Math.max(0, groups.findIndex((group) => !group.value)));
      changed(false);
    },
  };
}

/** @param {string} action @param {ReturnType<typeof grid>} cells @param {(digit: string) => string | null} value */
function act(action, cells, value) {
  const [what, detail] = action.split(":");
  if (what === "move") cells.step(detail);
  else {
    const graded = value(action);
    if (graded === null) return false;
    cells.grade(graded);
  }
  return true;
}

/** @param {import("./types.js").Place} place @returns {import("./types.js").View} */
export function rating(place) {
  const { item } = place;
  const axes = item.axes.length ? item.axes : ["overall"];
  const cells = grid(place, {
    axes,
    options: () => GRADES.map((value) => ({ value, label: value })),
    label: (slot, name) => t("rating.cell", { letter: letter(slot), axis: axis(name) }),
    sign: (_, value) => value,
  });
  /** @param {string} name */
  const along = (name) => cells.cells.flatMap((cell, index) => (cell.name === name ? [Number(cells.groups[index].value)] : []));
  return {
    panel: el(
      "div", { class: "asked rating" },
      el("div", { class: "asked-head" }, el("span", { class: "question" }, t("rating.question")), el("p", { class: "hint" }, t("rating.hint"))),
      cells.parts,
    ),
    body: null,
    answer: () => (cells.complete() ? { ratings: Object.fromEntries(axes.map((name) => [name, along(name)])) } : null),
    ask: cells.ask,
    says: () => axes.map((name) => `${axis(name)} ${along(name).join(" / ")}`).join(", "),
    state: () => (cells.values().some(Boolean) ? { values: cells.values() } : null),
    restore: (state) => cells.restore(state?.values),
    act: (action) => act(action, cells, (word) => GRADES.find((grade) => word === `number:${grade}`) ?? null),
  };
}

/** @param {import("./types.js").Place} place @returns {import("./types.js").View} */
export function thumb(place) {
  const { item, bound } = place;
  const several = item.responses.length > 1;
  const cells = grid(place, {
    axes: [""],
    options: () => ["up", "down"].map((value) => ({ value, label: t(`thumb.${value}`), key: bound[value] })),
    label: (slot) => (several ? t("thumb.cell", { letter: letter(slot) }) : t("thumb.question")),
    sign: (_, value) => t(`thumb.${value}`),
  });
  return {
    panel: el("div", { class: "asked thumb" }, el("span", { class: "question" }, t("thumb.question")), cells.parts),
    body: null,
    answer: () => (cells.complete() ? { thumbs: cells.values().map((value) => value === "up") } : null),
    ask: cells.ask,
    says: () => cells.values().map((value) => (value ? t(`thumb.${value}`) : "")).join(", "),
    state: () => (cells.values().some(Boolean) ? { values: cells.values() } : null),
    restore: (state) => cells.restore(state?.values),
    act: (action) => act(action, cells, (word) => (word === "up" || word === "down" ? word : null)),
  };
}
