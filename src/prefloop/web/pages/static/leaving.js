/**
 * Signing out: what the server does not have yet is sent first, or named; then all that this browser kept of somebody goes,
 * and their other tabs leave too. Whoever signs in after a session that only ended finds nothing of the one before, whose
 * unsent answers alone stay: nobody else can send them, and they are nowhere else.
 */

import { Refused, call } from "./api.js";
import { ask } from "./dialogs.js";
import { el, meta } from "./dom.js";
import { Outbox } from "./outbox.js";
import { close, forget, keys } from "./store.js";
import { t } from "./words.js";

const PATIENCE = 5000;
const user = meta("user");
const tabs = new BroadcastChannel("prefloop");

/** What has to be sent before somebody leaves; a page adds to it. @type {(() => Promise<void>)[]} */
export const before = [];

/** @param {string} key */
const isMine = (key) => key.split(".").slice(2).includes(user);
/** @param {string} key */
const isUnsent = (key) => key.startsWith("prefloop.out.") || key.startsWith("prefloop.refused.");

/** @param {boolean} mine also what is this one's */
function clear(mine) {
  for (const key of keys("prefloop.")) {
    const goes = isMine(key) || key.startsWith("prefloop.option.") ? mine : !isUnsent(key);
    if (goes) forget(key);
  }
}

/** Nothing of this one stays, and nothing more is written. */
function leave() {
  clear(true);
  close();
  sessionStorage.clear();
  location.replace("/login");
}

/** How much would be lost: answers that were not sent or not taken, and a message that was not sent. */
function unsent() {
  return keys("prefloop.").filter((key) => isMine(key) && (isUnsent(key) || key.startsWith("prefloop.chat."))).length;
}

/** @param {string} says @param {boolean} may */
function askAnyway(says, may) {
  return ask(t("nav.sign_out"), (finish) => {
    const stay = el("button", { type: "button", class: may ? "quiet" : "primary" }, t("leave.stay"));
    const go = el("button", { type: "button", class: "primary" }, t("leave.anyway"));
    stay.addEventListener("click", () => finish(false));
    go.addEventListener("click", () => finish(true));
    return [el("p", {}, says), el("div", { class: "dialog-buttons" }, stay, may ? go : null)];
  });
}

async function signOut() {
  const sent = Promise.all([new Outbox(user).work(), ...before.map((send) => send())]);
  await Promise.race([sent, new Promise((done) => setTimeout(done, PATIENCE))]);
  if (unsent() && !(await askAnyway(t("leave.unsent", { n: unsent() }), true))) return;
  try {
    await call("DELETE", "/session");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (!error.expired) return void askAnyway(t("leave.failed", { why: error.message }), false);
  }
  tabs.postMessage(user);
  leave();
}

document.querySelector("form[action='/logout']")?.addEventListener("submit", (event) => {
  event.preventDefault();
  void signOut();
});
tabs.addEventListener("message", ({ data }) => data === user && leave());
addEventListener("pageshow", (event) => event.persisted && location.reload()); // not what was there before somebody left
clear(false);
