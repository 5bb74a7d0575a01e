/** What the page says about itself: saved or not, how far the day is, and the voice of the screen reader. */

import { byId } from "./dom.js";
import { t } from "./words.js";

const MOST_LEFT = 1000; // the server counts no further

/** Says something to a screen reader, without moving the focus. @param {string} text */
export function announce(text) {
  const voice = byId("voice");
  voice.textContent = "";
  requestAnimationFrame(() => (voice.textContent = text));
}

/** @param {import("./outbox.js").Outbox} outbox */
export function watch(outbox) {
  const label = byId("save");
  let before = "saved";
  const draw = () => {
    const { state, waiting } = outbox;
    label.dataset.state = state;
    label.textContent = t(`save.${state}`, { n: waiting });
    if (state !== before && (state === "offline" || before === "offline")) announce(label.textContent);
    before = state;
    const refused = byId("refused");
    refused.hidden = !outbox.refused;
    if (outbox.refused) byId("refused-text").textContent = t("refused.says", { n: outbox.refused });
  };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(draw, outbox.state === "saving" ? 150 : 0); // what is saved at once should not flicker
  };
  for (const type of ["changed", "sent", "failed", "expired", "refused"]) outbox.addEventListener(type, soon);
  draw();
}

/**
 * @param {{today: number, left: number} | undefined} progress as the server told it
 * @param {number} extra judged here and not counted in it
 * @param {number} [held] leased to this page, which an exact `left` leaves out; without it, it is told in tens
 */
export function showProgress(progress, extra, held) {
  if (!progress) return;
  const today = progress.today + extra;
  const left = progress.left + (held ?? 0);
  const says = progress.left >= MOST_LEFT ? `${MOST_LEFT}+` : left;
  byId("progress").textContent = t(held === undefined ? "progress.about" : "progress", { today, left: says });
  const bar = /** @type {HTMLProgressElement} */ (byId("progress-bar"));
  bar.max = Math.max(1, today + left);
  bar.value = today;
}
