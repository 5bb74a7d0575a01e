/** The dashboard: asks for the numbers every few seconds and draws them; while hidden it rests. */

import { Refused, call } from "../api.js";
import { byId, el } from "../dom.js";
import { figure, shape, share, table } from "./figures.js";
import { t, when, tagged } from "../words.js";

const EVERY = 5000;
let newest = 0;

/** @param {any} hours */
function bars(hours) {
  const most = Math.max(1, ...hours.map((/** @type {any} */ hour) => hour.judgements));
  const plot = shape("svg", { class: "plot", viewBox: "0 0 576 130", role: "img", "aria-label": t("dashboard.hours_label", { n: hours.length }) });
  hours.forEach((/** @type {any} */ hour, /** @type {number} */ place) => {
    const height = (100 * hour.judgements) / most;
    const bar = shape("rect", { class: "fill", x: place * 12 + 1, width: 10, y: (106 - height).toFixed(1), height: height.toFixed(1), rx: 2 });
    bar.append(shape("title", {}, `${when(hour.hour)}: ${figure(hour.judgements)}`));
    plot.append(bar);
  });
  plot.append(shape("text", { class: "tick", x: 0, y: 124 }, when(hours[0].hour)));
  plot.append(shape("text", { class: "tick", x: 574, y: 124, "text-anchor": "end" }, when(hours.at(-1).hour)));
  return plot;
}

/** @param {any} numbers */
function draw(numbers) {
  const { progress, pace, agreement, currency } = numbers;
  const money = (/** @type {number | null} */ value) => (value === null ? "–" : `${figure(value)} ${currency}`);
  const tiles = [
    [share(progress.share), "dashboard.progress", t("dashboard.of_all", { done: figure(progress.done), all: figure(progress.done + progress.left) })],
    [figure(progress.left), "dashboard.left", [progress.left_exact ? "" : t("dashboard.about"), progress.held ? t("dashboard.held", { n: figure(progress.held) }) : ""].filter(Boolean).join(" · ")],
    [figure(pace.today), "dashboard.today", ""],
    [figure(pace.per_hour), "dashboard.per_hour", t("dashboard.each", { n: figure(pace.per_person_hour) })],
    [figure(pace.median_seconds), "dashboard.seconds", ""],
    [share(agreement.rate), "dashboard.agreement", t("dashboard.couples", { n: figure(agreement.couples) })],
    [money(pace.cost_per_judgement), "dashboard.cost", numbers.cost_left === null ? "" : t("dashboard.cost_left", { cost: money(numbers.cost_left) })],
    [numbers.hours_left === null ? "–" : t("dashboard.hours_n", { n: figure(numbers.hours_left) }), "dashboard.forecast", ""],
  ];
  byId("tiles").replaceChildren(...tiles.map(([value, name, note]) =>
    el("li", {}, el("span", { class: "big" }, value), el("span", { class: "what" }, t(name)), note ? el("span", { class: "small" }, note) : null)));
  const lacking = numbers.tags.filter((/** @type {any} */ tag) => tag.missing > 0);
  byId("warnings").replaceChildren(...lacking.map((/** @type {any} */ tag) =>
    el("li", { class: tag.out_of_reach ? "notice bad" : "notice" },
      t(tag.out_of_reach ? "dashboard.floor_bad" : "dashboard.floor", { tag: tagged(tag.tag), judged: tag.judged, floor: tag.floor, open: tag.open }))));
  byId("hours").replaceChildren(bars(pace.hours));
  byId("tags").replaceChildren(table([t("dashboard.tag"), t("dashboard.judged"), t("dashboard.open"), t("dashboard.floor_of")],
    numbers.tags.map((/** @type {any} */ tag) => [tagged(tag.tag), tag.judged, tag.open, tag.floor || "–"])));
  byId("people").replaceChildren(table([t("dashboard.person"), t("dashboard.last_hour"), t("dashboard.last_day"), t("dashboard.last")],
    numbers.people.map((/** @type {any} */ one) => [el("a", { href: `/lead/annotators/${one.id}` }, one.name), one.hour, one.today, when(one.last)])));
}

async function look() {
  if (document.hidden) return;
  const stale = byId("stale");
  try {
    const numbers = await call("GET", "/lead/dashboard");
    newest = numbers.at;
    draw(numbers);
    stale.hidden = true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.expired) location.reload();
    stale.textContent = newest ? t("desk.stale", { when: when(newest) }) : error.message;
    stale.hidden = false;
  }
}

await look();
setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
