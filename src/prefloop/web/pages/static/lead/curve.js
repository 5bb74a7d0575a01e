/** The curve of reward accuracy against the number of labels; asked for once a minute. */

import { Refused, call } from "../api.js";
import { byId, el } from "../dom.js";
import { figure, shape, share, table } from "./figures.js";
import { t } from "../words.js";

const EVERY = 60_000;
const WIDTH = 576, HEIGHT = 210, LEFT = 44, RIGHT = 14, TOP = 12, BOTTOM = 34;

/** @param {any} told */
function plot(told) {
  const ends = told.points.map((/** @type {any} */ one) => 1.96 * one.standard_error);
  const people = told.two_people === null ? [] : [told.two_people];
  const all = told.points.flatMap((/** @type {any} */ one, /** @type {number} */ place) => [one.accuracy - ends[place], one.accuracy + ends[place]]);
  const low = Math.floor(10 * Math.min(0.5, ...all, ...people)) / 10, high = Math.min(1, Math.ceil(10 * Math.max(...all, ...people)) / 10);
  const [first, last] = [told.points[0].pairs, told.points.at(-1).pairs];
  const x = (/** @type {number} */ pairs) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(pairs / first)) / Math.max(1e-9, Math.log(last / first));
  const y = (/** @type {number} */ value) => TOP + ((HEIGHT - TOP - BOTTOM) * (high - value)) / Math.max(1e-9, high - low);
  const drawn = shape("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": t("curve.label") });
  for (let tenth = Math.round(10 * low); tenth <= Math.round(10 * high); tenth += 1) {
    drawn.append(shape("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tenth / 10), y2: y(tenth / 10) }));
    drawn.append(shape("text", { class: "tick", x: LEFT - 6, y: y(tenth / 10) + 4, "text-anchor": "end" }, share(tenth / 10)));
  }
  for (const value of people) {
    drawn.append(shape("line", { class: "target", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    drawn.append(shape("text", { class: "name", x: LEFT + 6, y: y(value) - 5 }, t("curve.people", { rate: share(value) })));
  }
  drawn.append(shape("polyline", { class: "curve", points: told.points.map((/** @type {any} */ one) => `${x(one.pairs)},${y(one.accuracy)}`).join(" ") }));
  told.points.forEach((/** @type {any} */ one, /** @type {number} */ place) => {
    const at = x(one.pairs);
    drawn.append(shape("line", { class: "range", x1: at, x2: at, y1: y(one.accuracy - ends[place]), y2: y(one.accuracy + ends[place]) }));
    const dot = shape("circle", { class: "fill", cx: at, cy: y(one.accuracy), r: 3.5 });
    dot.append(shape("title", {}, `${figure(one.pairs)}: ${share(one.accuracy)} ± ${share(ends[place])}`));
    drawn.append(dot);
    const anchor = place === 0 ? "start" : place === told.points.length - 1 ? "end" : "middle";
    drawn.append(shape("text", { class: "tick", x: at, y: HEIGHT - 16, "text-anchor": anchor }, figure(one.pairs)));
  });
  drawn.append(shape("text", { class: "tick", x: WIDTH - RIGHT, y: HEIGHT - 2, "text-anchor": "end" }, t("curve.axis")));
  return drawn;
}

/** @param {any} told */
function draw(told) {
  const newest = told.points.at(-1);
  const values = newest && newest.gain !== null ? { gain: figure(100 * newest.gain, { maximumFractionDigits: 1 }), error: figure(196 * newest.gain_error, { maximumFractionDigits: 1 }) } : {};
  byId("curve").replaceChildren(
    el("p", { class: "lead" }, t(`curve.${told.verdict}`, { pairs: figure(told.pairs), ...values })),
    ...(told.points.length ? [plot(told)] : []),
    ...(told.models.length ? [table([t("curve.model"), t("curve.labels"), t("curve.since"), t("curve.accuracy")],
      told.models.map((/** @type {any} */ one) => [one.model, one.labels, one.since,
        one.accuracy === null ? "–" : `${share(one.accuracy)} (${share(one.low)} – ${share(one.high)})`]))] : []));
}

async function look() {
  if (document.hidden) return;
  try {
    draw(await call("GET", "/lead/curve"));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (!byId("curve").firstChild) byId("curve").textContent = error.message;
  }
}

look();
setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
