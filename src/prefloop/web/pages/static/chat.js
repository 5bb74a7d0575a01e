/**
 * Chat with the policy under test: what was said so far, and where the next message is written. Its two responses come as a
 * pair, which is judged as all else. What is typed is kept in this browser until the server has it; a message has one key
 * for as long as its text is the same, so that sending it again never makes two of it.
 */

import { Refused, call } from "./api.js";
import { el, uuid } from "./dom.js";
import { conversation } from "./item.js";
import { storable } from "./outbox.js";
import { announce } from "./status.js";
import { forget, keep, recalled } from "./store.js";
import { has, t } from "./words.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Presentation} Presentation */
/** @typedef {{conversation: string | null, turns: number, messages: Message[], presentation: Presentation | null, goes_on: string | null, key: string | null, seconds: number, longest: number}} Told */

const PATIENCE = 20; // seconds beyond what the server gives the model

export class Chat {
  /**
   * @param {HTMLElement} place
   * @param {string} user
   * @param {import("./outbox.js").Outbox} outbox
   * @param {{answered: (item: Presentation) => void, moved: (messages: Message[]) => void, expired: (error: Refused) => void}} given
   */
  constructor(place, user, outbox, given) {
    this.place = place;
    this.kept = `prefloop.chat.${user}`;
    this.outbox = outbox;
    this.given = given;
    /** @type {Told | null} */
    this.told = null;
    this.busy = false;
    this.later = false; // a message was sent while the judgement before it was still on its way
    this.thread = el("div", { class: "thread" });
    this.text = el("textarea", { id: "chat-text", rows: 3, dir: "auto", "aria-describedby": "chat-note chat-hint" });
    this.note = el("p", { id: "chat-note", class: "chat-note" });
    this.go = el("button", { type: "submit", class: "primary" }, t("chat.send"));
    this.another = el("button", { type: "button", class: "quiet" }, t("chat.another"));
    this.form = el(
      "form", { class: "composer" }, el("label", { for: "chat-text" }, t("chat.message")), this.text, this.note,
      el("div", { class: "composer-row" }, el("span", { id: "chat-hint", class: "small" }, t("chat.hint")), this.another, this.go),
    );
    this.box = el("section", { class: "chat", "aria-label": t("chat.label") }, this.thread, this.form);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    this.another.addEventListener("click", () => void this.end());
    this.text.addEventListener("input", () => this.typed());
    this.outbox.addEventListener("sent", () => void this.arrived());
    this.text.value = recalled(this.kept, { text: "" }).text;
  }

  get visible() {
    return this.box.isConnected;
  }

  /** Between two messages. @param {Presentation | null} judged what was just judged */
  show(judged) {
    if (this.visible) return;
    if (judged) this.told = this.told && { ...this.told, messages: judged.messages, goes_on: null };
    this.place.replaceChildren(this.box);
    this.draw();
    this.text.focus({ preventScroll: true });
    void this.load();
  }

  /** True if it was something to do here. @param {string} wanted */
  act(wanted) {
    if (!this.visible) return false;
    if (wanted === "confirm") void this.send();
    else if (wanted === "leave") /** @type {HTMLElement | null} */ (this.thread.querySelector("[tabindex]"))?.focus({ preventScroll: true });
    else return false;
    return true;
  }

  /** A judgement arrived; so may what was written after it. */
  async arrived() {
    if (!this.visible) return;
    await this.load();
    if (this.later && !this.outbox.waiting) await this.send();
  }

  /** What the server has; a judgement that is still on its way is waited for. */
  async load() {
    if (this.outbox.waiting || this.busy) return;
    const before = this.told;
    try {
      this.take(await call("GET", "/chat"));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.failed(error);
    }
    if (this.told?.turns && this.told !== before && !this.told.presentation) announce(this.went());
  }

  /** @param {Told} told */
  take(told) {
    this.told = told;
    const draft = recalled(this.kept, null);
    if (draft && draft.key === told.key) this.sent(); // it arrived, although nobody here was told
    if (told.presentation) return this.given.answered(told.presentation);
    this.given.moved(told.messages);
    this.draw();
  }

  draw() {
    const messages = this.told?.messages ?? [];
    const first = el("div", { class: "state first", tabindex: -1 }, el("h2", {}, t("chat.first")), el("p", {}, t("chat.first_says")));
    this.thread.replaceChildren(messages.length ? conversation({ messages }) : first);
    const why = this.why();
    if (why) this.thread.append(el("p", { class: "notice final" }, why));
    this.another.hidden = !this.told?.conversation;
    if (this.told) this.text.maxLength = this.told.longest;
    const shown = this.thread.firstElementChild;
    if (shown) shown.scrollTop = shown.scrollHeight;
    if (messages.length) this.form.scrollIntoView({ block: "nearest" }); // on a phone the page itself scrolls
  }

  /** Why the conversation goes on as it does, if that is not what was chosen. */
  why() {
    const key = `chat.on.${this.told?.goes_on ?? ""}`;
    return has(key) ? t(key) : "";
  }

  /** For who listens: that the next message can be written. */
  went() {
    return [this.why(), t("chat.went_on")].filter(Boolean).join(" ");
  }

  typed() {
    this.later = false; // it is being changed: it goes when it is sent again
    this.say("");
    if (this.text.value) keep(this.kept, JSON.stringify({ text: this.text.value, key: uuid() }));
    else forget(this.kept);
  }

  sent() {
    forget(this.kept);
    this.text.value = "";
  }

  /** @param {string} text @param {boolean} [bad] */
  say(text, bad = false) {
    this.note.textContent = text;
    this.note.classList.toggle("bad", bad);
    if (text) announce(text);
    if (bad) this.note.scrollIntoView({ block: "nearest" });
  }

  async send() {
    if (this.busy) return;
    if (!this.text.value.trim()) {
      this.text.focus();
      return this.say(t("chat.ask"), true);
    }
    this.later = this.outbox.waiting > 0;
    if (this.later) {
      this.outbox.again();
      return this.say(t("chat.unsent"));
    }
    if (!this.told) await this.load();
    if (!this.told || this.busy || !this.visible) return; // what is in the way was said
    const draft = recalled(this.kept, null) ?? { text: this.text.value, key: uuid() };
    keep(this.kept, JSON.stringify(draft));
    this.wait(true);
    this.say(t("chat.asking"));
    await this.ask(draft, this.told);
  }

  /** @param {{text: string, key: string}} draft @param {Told} told */
  async ask({ text, key }, { conversation, turns, seconds }) {
    /** @type {Refused | null} */
    let problem = null;
    try {
      const told = await call("POST", "/chat/messages", { text: storable(text), conversation, turns }, { key, limit: (seconds + PATIENCE) * 1000 });
      this.wait(false);
      this.sent();
      this.say("");
      this.take(told);
      announce(told.presentation ? t("chat.answered") : this.went());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      problem = error;
    } finally {
      this.wait(false);
    }
    if (!problem) return;
    if (problem.status === 409) await this.load(); // it is not as this page thought
    this.failed(problem);
  }

  async end() {
    if (this.busy || !this.told?.conversation) return;
    try {
      this.take(await call("POST", "/chat/end", { conversation: this.told.conversation }));
      this.say(t("chat.begun"));
      this.text.focus();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.failed(error);
    }
  }

  /** @param {boolean} on */
  wait(on) {
    this.busy = on;
    this.text.readOnly = on;
    this.go.disabled = this.another.disabled = on;
    this.form.classList.toggle("asking-model", on);
  }

  /** Says what is wrong; the text stays. @param {Refused} error */
  failed(error) {
    if (error.expired) return this.given.expired(error);
    this.say(error.message, true);
    if (this.visible && !this.place.contains(document.activeElement)) this.text.focus({ preventScroll: true });
  }
}
