/** The judging page: shows an item, takes the decision, shows the next one at once, and lets the outbox do the waiting. */

import { Refused, call } from "./api.js";
import { Bar } from "./bar.js";
import { Chat } from "./chat.js";
import { ActiveTime, Seen } from "./clock.js";
import { askFlag, askSkip, showExpired, showKeys } from "./dialogs.js";
import { afterPaint, byId, meta, uuid } from "./dom.js";
import { Drafts } from "./drafts.js";
import { feedback } from "./feedback.js";
import { Guideline } from "./guideline.js";
import { build, known } from "./item.js";
import { before } from "./leaving.js";
import { STRENGTHS } from "./pair.js";
import { PLACES, action, bindings, name as keyName } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Revisions } from "./revisions.js";
import { Queue } from "./queue.js";
import { away, blank } from "./states.js";
import { announce, showProgress, watch } from "./status.js";
import { option, setOption } from "./store.js";
import { Tab } from "./tab.js";
import { language, t } from "./words.js";

/** @typedef {import("./types.js").Presentation} Presentation */
/** @typedef {import("./types.js").Past} Past */
/** @typedef {ReturnType<typeof build>} Built */

/** Milliseconds in which nobody has read an item: an answer that one key would give is confirmed by a second one. */
const SOON = 400;

class Judge {
  constructor() {
    this.user = meta("user");
    this.bound = bindings(JSON.parse(meta("keys") || "{}"));
    this.place = byId("place");
    this.outbox = new Outbox(this.user);
    this.queue = new Queue((id) => this.outbox.holds(id), meta("purpose"));
    this.drafts = new Drafts(this.user, (id) => this.shown?.item.id === id && !this.queue.done.has(id) && this.bar.hint(t("lease.lost")));
    this.guideline = new Guideline(this.user, this.bound.guideline, () => this.focusItem());
    this.revisions = new Revisions(this.user, meta("purpose"));
    this.tab = new Tab(this.user, () => this.leaveToOther());
    this.bar = new Bar(this.bound, (wanted) => this.act(wanted), () => this.focusItem());
    this.chat = meta("purpose") === "chat" ? new Chat(this.place, this.user, this.outbox, { answered: (item) => this.answered(item), moved: (messages) => this.moved(messages), expired: (error) => this.expired(error) }) : null;
    /** @type {Map<string, Built>} */
    this.ready = new Map();
    /** @type {Built | null} */
    this.shown = null;
    /** @type {Past | null} */
    this.revising = null;
    this.time = new ActiveTime();
    this.seen = new Seen([]);
    this.held = false;
    /** @type {string | null} The judgement whose feedback is awaited. */
    this.awaited = null;
    /** Judged here and not yet counted in the progress that the server told. */
    this.since = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.looking = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.drafting = undefined;
    this.listen();
  }

  listen() {
    this.outbox.addEventListener("sent", (event) => this.sent(/** @type {CustomEvent} */ (event).detail));
    this.outbox.addEventListener("expired", (event) => this.expired(/** @type {CustomEvent} */ (event).detail));
    this.outbox.addEventListener("refused", (event) => this.refused(/** @type {CustomEvent} */ (event).detail));
    this.queue.addEventListener("filled", () => this.filled());
    this.queue.addEventListener("dry", () => !this.shown && !this.held && this.tab.active && this.nothing());
    this.queue.addEventListener("failed", (event) => this.failed(/** @type {CustomEvent} */ (event).detail));
    document.addEventListener("keydown", (event) => this.pressed(event));
    for (const type of ["pointerdown", "wheel", "touchstart", "keydown"]) document.addEventListener(type, (event) => this.alive(event.type), { passive: true, capture: true });
    document.addEventListener("scroll", () => this.look(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => this.time.turned(document.visibilityState !== "hidden"));
    addEventListener("pagehide", () => this.keepDraft());
    addEventListener("online", () => void this.queue.fill());
    byId("refused-look").addEventListener("click", () => location.assign("/history#refused"));
    before.push(async () => {
      if (this.shown && !this.revising && !this.held && this.shown.view.state() !== null) await this.drafts.tell(this.shown.item.id, this.draft());
    });
    this.bar.bar.addEventListener("comment", () => this.changed(this.shown));
    watch(this.outbox);
  }

  start() {
    this.drafts.tidy();
    this.tab.claim();
    this.revisions.tell(language, (past) => {
      const { view } = this.built(past.item);
      view.restore(past.state);
      return view.says();
    });
    const wanted = this.revisions.wanted(new URLSearchParams(location.search).get("revise"));
    if (wanted) this.revise(wanted);
    else {
      blank(this.place, "loading");
      this.bar.draw({ past: this.revisions.last, shown: false });
    }
    this.outbox.again();
    void this.queue.fill();
    void this.guideline.load();
  }

  // ---- what is on the page

  filled() {
    this.since = this.outbox.entries().filter(([, entry]) => entry.path === "/judgements").length;
    if (!this.shown && !this.held && this.tab.active) this.next();
    else afterPaint(() => this.prepare());
  }

  prepare() {
    for (const item of this.queue.items.slice(0, 3)) if (!this.ready.has(item.id) && known(item.kind)) this.ready.set(item.id, this.made(item));
  }

  /** @param {Presentation} item */
  made(item) {
    const built = this.built(item);
    const draft = this.drafts.newest(item);
    if (draft?.state) built.view.restore(draft.state);
    return built;
  }

  /** @param {Presentation} item @returns {Built} */
  built(item) {
    /** @type {Built | null} */
    let built = null; // a view may tell of changes while it is being built
    built = build(item, { bound: this.bound, changed: (direct) => this.changed(built, direct), announce });
    return built;
  }

  next() {
    this.revising = null;
    const item = this.queue.take();
    if (item) return this.show(item);
    this.nothing();
    afterPaint(() => {
      this.outbox.again();
      void this.queue.fill();
    });
  }

  /** @param {Presentation} item */
  show(item) {
    if (!known(item.kind)) return this.unknown(item);
    const built = this.ready.get(item.id) ?? this.made(item);
    if (this.chat && !this.revising) this.revisions.only(() => false); // the conversation went on from what was judged before
    this.ready.delete(item.id);
    this.shown = built;
    this.time = new ActiveTime();
    this.seen = new Seen(built.words, () => this.bar.bar.getBoundingClientRect().top);
    this.practice(item);
    this.place.replaceChildren(built.article);
    this.bar.show(built, { comment: this.revising?.comment ?? this.drafts.newest(item)?.comment ?? "", revising: this.revising !== null, past: this.revisions.before(this.revising) });
    built.article.focus({ preventScroll: true });
    afterPaint(() => this.settled(built));
  }

  /** Says of a practice item that it is one. @param {Presentation | null} item */
  practice(item) {
    const note = byId("practice");
    note.hidden = item?.purpose !== "calibration";
    note.textContent = note.hidden ? "" : t("practice.says", { n: item?.practice?.number ?? 1, of: item?.practice?.of ?? 1 });
  }

  /** The rest of showing, once it is painted. @param {Built} built */
  settled(built) {
    if (this.shown !== built) return;
    const conversation = built.article.querySelector(".conversation");
    if (this.chat) conversation?.querySelector(".turn:last-child")?.scrollIntoView({ block: "start" }); // on a phone: past what was read before
    if (conversation) conversation.scrollTop = conversation.scrollHeight;
    const inTens = this.chat !== null || this.queue.purpose === "work";
    showProgress(this.queue.progress ?? built.item.progress, this.since, inTens ? undefined : this.queue.items.length + (this.revising ? 0 : 1));
    this.guideline.need(Math.max(built.item.guideline, ...this.queue.items.map((item) => item.guideline)));
    this.look();
    if (!this.held) this.outbox.again();
    void this.queue.fill();
    this.prepare();
  }

  nothing() {
    const judged = this.shown?.item ?? null;
    this.shown = null;
    this.practice(null);
    this.bar.draw({ past: this.revisions.last, shown: false });
    if (this.queue.error?.expired) return this.expired(this.queue.error);
    if (this.chat && this.queue.empty !== "calibration_failed") {
      showProgress(this.queue.progress, this.since);
      return this.chat.show(judged);
    }
    const offline = this.queue.error !== null || (this.outbox.waiting > 0 && this.outbox.failures > 0);
    if (this.queue.empty === "done" && this.queue.progress) showProgress({ ...this.queue.progress, left: 0 }, this.since, 0);
    const why = offline ? "offline" : this.queue.empty ?? (this.queue.asking || this.outbox.waiting ? "loading" : "waiting");
    blank(this.place, why, { again: () => (why === "calibration_failed" ? void this.retake() : void this.queue.fill()), waiting: this.outbox.waiting });
  }

  /** The model's responses in a chat: a pair as any other. @param {Presentation} item */
  answered(item) {
    if (this.shown?.item.id !== item.id) this.queue.takeIn({ presentations: [item], empty: null });
  }

  /** In a chat only what was judged last may be reopened, and only until the next message. @param {import("./types.js").Message[]} messages */
  moved(messages) {
    const asked = JSON.stringify(messages.slice(0, -1));
    this.revisions.only((past) => JSON.stringify(past.item.messages) === asked);
    if (!this.shown) this.bar.draw({ past: this.revisions.last, shown: false });
  }

  /** @param {Presentation} item */
  unknown(item) {
    this.shown = null;
    this.bar.draw({ past: this.revisions.last, shown: false });
    blank(this.place, "unknown", { again: () => {
      this.giveBack(item, "broken", `kind ${item.kind}`);
      this.next();
    } });
  }

  async retake() {
    try {
      await call("POST", "/calibration/retake", {});
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.failed(error);
    }
    void this.queue.fill();
  }

  // ---- what somebody does

  /** @param {string} type */
  alive(type) {
    if (type === "wheel") this.time.alive();
    else this.time.acted();
    if (this.shown && !this.revising) this.drafts.beat(this.shown.item.id, () => this.draft());
  }

  look() {
    this.time.alive();
    this.looking ??= setTimeout(() => {
      this.looking = undefined;
      this.seen.look();
    }, 60);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const wanted = action(event, this.bound, this.shown?.item.kind ?? "");
    if (wanted === null) return;
    if (this.act(wanted)) event.preventDefault();
  }

  /** True if it was something to do. @param {string} wanted */
  act(wanted) {
    if (!this.shown && !this.held && this.chat?.act(wanted)) return true;
    if (wanted === "leave") return this.focusItem();
    if (wanted === "guideline") this.guideline.turn();
    else if (wanted === "help") this.help();
    else if (wanted === "undo") this.undo();
    else if (this.held) return wanted === "confirm" && this.proceed();
    else if (!this.shown) return false;
    else if (wanted === "confirm") this.confirm();
    else if (wanted === "current") this.back();
    else if (wanted === "skip") void this.skip();
    else if (wanted === "flag") void this.flag();
    else if (wanted === "comment") this.bar.openComment();
    else if (wanted === "raw" || wanted === "lock") this.flip(wanted);
    else if (wanted === "forward" || wanted === "back") this.shown.page(wanted === "forward" ? 1 : -1);
    else return this.shown.view.act(wanted);
    return true;
  }

  focusItem() {
    this.shown?.article.focus({ preventScroll: true });
    return true;
  }

  /** @param {"raw" | "lock"} name */
  flip(name) {
    const on = !option(name, false);
    setOption(name, on);
    if (name === "raw") for (const built of [this.shown, ...this.ready.values()]) built?.refill();
    this.bar.options();
    announce(t(`${name}.${on ? "on" : "off"}`));
  }

  confirm() {
    const built = this.shown;
    if (!built) return;
    const answer = built.view.answer();
    if (!answer) {
      const missing = built.view.ask();
      this.bar.hint(missing);
      announce(missing);
      return;
    }
    const { item } = built;
    const past = this.revising;
    if (past && this.revisions.same(past, built.view.state(), this.bar.comment)) return this.back();
    this.seen.look();
    const id = uuid();
    const body = { id, presentation: item.id, ...this.time.measured(), seen: this.seen.share, comment: this.bar.comment, answer };
    const path = past ? `/judgements/${encodeURIComponent(past.judgement)}/revise` : "/judgements";
    if (!this.outbox.put({ id, path, body, presentation: item.id, at: Date.now() })) this.bar.hint(t("save.fragile"));
    this.queue.finish(item.id);
    this.drafts.drop(item.id);
    const decided = { judgement: id, item, state: built.view.state(), comment: this.bar.comment, says: built.view.says(), language };
    if (!past) this.since += 1;
    if (item.purpose === "calibration") return this.await(id);
    this.revisions.add(decided, past);
    this.next();
  }

  /** Calibration: the answer is explained before the next item comes. @param {string} id */
  await(id) {
    this.held = true;
    this.awaited = id;
    this.bar.wait(t("feedback.waiting"));
    this.outbox.again();
  }

  /** @param {{entry: import("./types.js").Entry, reply: any}} detail */
  sent({ entry, reply }) {
    if (entry.id === this.awaited) this.explain(reply?.feedback ?? null);
    if (!this.held) void this.queue.fill();
  }

  /** @param {any} told */
  explain(told) {
    this.awaited = null;
    if (!told || !this.shown) return void this.proceed();
    const note = feedback(told, this.shown.item);
    this.bar.explain(note);
    announce(note.textContent ?? "");
  }

  /** After the feedback: the next item. */
  proceed() {
    if (this.awaited) return true; // the answer is on its way; the outbox goes on trying
    this.held = false;
    this.shown = null;
    this.next();
    return true;
  }

  undo() {
    if (this.held || this.chat?.busy) return;
    const past = this.revisions.before(this.revising);
    if (!past) return announce(t("undo.none"));
    this.keepDraft();
    if (this.shown && !this.revising) this.queue.putBack(this.shown.item);
    this.revise(past);
    announce(t("undo.open", { says: past.says }));
  }

  /** @param {Past} past */
  revise(past) {
    this.revising = past;
    const built = this.built(past.item);
    built.view.restore(past.state);
    this.ready.set(past.item.id, built);
    this.show(past.item);
  }

  /** Leaves a revision as it was. */
  back() {
    this.next();
  }

  async skip() {
    const built = this.shown;
    if (!built || this.revising) return;
    const told = await askSkip(t(this.chat ? "chat.skip_says" : "skip.says"));
    if (!told || this.shown !== built) return;
    this.giveBack(built.item, told.reason, told.comment);
    announce(t("skip.done"));
    this.next();
  }

  /** @param {Presentation} item @param {string} reason @param {string} comment */
  giveBack(item, reason, comment) {
    const path = `/presentations/${encodeURIComponent(item.id)}/skip`;
    this.outbox.put({ id: uuid(), path, body: { reason, comment }, presentation: item.id, at: Date.now() });
    this.queue.finish(item.id);
    this.drafts.drop(item.id);
  }

  async flag() {
    const built = this.shown;
    const comment = built && (await askFlag());
    if (!built || !comment) return;
    this.outbox.put({ id: uuid(), path: "/flags", body: { presentation: built.item.id, comment }, presentation: "", at: Date.now() });
    this.outbox.again();
    this.bar.hint(t("flag.done"));
    announce(t("flag.done"));
  }

  help() {
    const kind = this.shown?.item.kind ?? "pair";
    const of = /** @type {Record<string, string[]>} */ (PLACES)[kind] ?? [];
    const own = of.filter((name) => this.shown?.item.strength !== false || !STRENGTHS.includes(name));
    void showKeys([...own, ...PLACES.always].map((name) => [keyName(this.bound[name]), t(`key.${name}`)]));
  }

  // ---- drafts

  draft() {
    return { at: Date.now(), state: this.shown?.view.state() ?? null, comment: this.bar.comment };
  }

  /** @param {Built | null} built the one that changed; one that is only being prepared keeps quiet @param {boolean} [direct] by a key of its own, or pointed at */
  changed(built, direct = false) {
    if (!this.shown || built !== this.shown) return;
    this.bar.answered(this.shown.view);
    if (direct && this.shown.view.single) {
      if (performance.now() - this.time.begun >= SOON) return this.confirm();
      this.bar.hint(t("single.soon")); // a key pressed twice answers no item that nobody has seen
    }
    this.drafting ??= setTimeout(() => {
      this.drafting = undefined;
      this.keepDraft();
    }, 300);
  }

  keepDraft() {
    if (!this.shown || this.revising || this.held || this.outbox.holds(this.shown.item.id)) return;
    const draft = this.draft();
    if (draft.state !== null || draft.comment || this.drafts.newest(this.shown.item)) this.drafts.keep(this.shown.item.id, draft);
  }

  // ---- when something is in the way

  /** @param {Refused} error */
  expired(error) {
    this.keepDraft();
    void showExpired(error.code, () => this.outbox.waiting, () => {
      this.outbox.again();
      void this.queue.fill();
    });
  }

  /** @param {{entry: import("./types.js").Entry, error: Refused}} detail */
  refused({ entry, error }) {
    announce(t("refused.one", { why: error.status ? error.message : "" }));
    this.revisions.drop(entry.id);
    if (entry.id === this.awaited) this.explain(null);
  }

  /** @param {Refused} error */
  failed(error) {
    if (error.expired) this.expired(error);
    else if (this.chat?.visible) this.chat.failed(error);
    else if (!this.shown && !this.held) blank(this.place, error.passing ? "offline" : "refused", { again: () => void this.queue.fill(), waiting: this.outbox.waiting, why: error.status ? error.message : "" });
  }

  leaveToOther() {
    this.keepDraft();
    this.shown = null;
    this.queue.items = [];
    this.ready.clear();
    this.bar.draw({ past: null, shown: false });
    away(this.place, () => {
      this.tab.claim();
      this.queue.current = null;
      void this.queue.fill();
      blank(this.place, "loading");
    });
  }
}

export const judge = new Judge();
judge.start();
