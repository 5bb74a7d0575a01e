/** The table of keys, as this person has them. */

import { byId, el, meta } from "./dom.js";
import { PLACES, bindings, name } from "./keys.js";
import { t } from "./words.js";

const bound = bindings(JSON.parse(meta("keys") || "{}"));

/** @param {string} title @param {[string, string][]} rows */
function card(title, rows) {
  const list = rows.flatMap(([key, does]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, does)]);
  return el("section", { class: "card" }, el("h3", {}, title), el("dl", { class: "keys" }, list));
}

/** @param {string[]} actions @returns {[string, string][]} */
function rows(actions) {
  return actions.map((action) => [name(bound[action]), t(`key.${action}`)]);
}

byId("keys").append(
  card(t("keys.always"), [...rows(PLACES.always), ["Ctrl ↵", t("key.confirm_text")], ["Esc", t("key.leave")]]),
  card(t("kind.pair"), rows(PLACES.pair)),
  card(t("kind.ranking"), [["1 – 9", t("key.number_rank")], ...rows(PLACES.ranking), ["← →", t("key.move_chip")]]),
  card(t("kind.rating"), [["1 – 5", t("key.number_grade")], ["← ↑ ↓ →", t("key.move")]]),
  card(t("kind.thumb"), [...rows(PLACES.thumb), ["← →", t("key.move")]]),
  card(t("kind.edit"), [["1 – 9", t("key.number_edit")], ["Ctrl ↵", t("key.confirm_text")]]),
);
