/**
 * How long somebody really worked on an item: time with the page visible, and at most two minutes after each sign of
 * life. Also when the first key came, and how much of the responses has been on the screen.
 */

export const IDLE = 120000;

/** Active time between signs of life. */
export class ActiveTime {
  /** @param {() => number} now milliseconds, never going back */
  constructor(now = () => performance.now()) {
    this.now = now;
    this.total = 0;
    this.begun = now();
    this.last = this.begun;
    this.visible = document.visibilityState !== "hidden";
    /** @type {number | null} */
    this.firstKey = null;
  }

  /** Adds the time since the last sign of life, two minutes at most. */
  alive() {
    const now = this.now();
    if (this.visible) this.total += Math.min(now - this.last, IDLE);
    this.last = now;
  }

  /** A key, a click or a touch. */
  acted() {
    this.alive();
    this.firstKey ??= this.total;
  }

  /** @param {boolean} visible */
  turned(visible) {
    this.alive();
    this.visible = visible;
  }

  /** What a judgement says about time. */
  measured() {
    this.alive();
    return {
      active_seconds: Math.round(this.total) / 1000,
      first_key_seconds: this.firstKey === null ? null : Math.round(this.firstKey) / 1000,
    };
  }
}

/** The share of some texts that has been on the screen, by the furthest each was scrolled. */
export class Seen {
  /** @param {HTMLElement[]} panes @param {() => number} floor what is below this is covered */
  constructor(panes, floor = () => window.innerHeight) {
    this.panes = panes;
    this.floor = floor;
    this.furthest = panes.map(() => 0);
  }

  /** Looks where the panes stand now. */
  look() {
    this.panes.forEach((pane, index) => {
      if (this.furthest[index] >= 1 || !pane.isConnected) return;
      const box = pane.getBoundingClientRect();
      const whole = Math.max(pane.scrollHeight, 1);
      const bottom = Math.min(box.bottom, this.floor()) - box.top + pane.scrollTop;
      const share = bottom >= whole - 8 ? 1 : Math.max(bottom, 0) / whole;
      this.furthest[index] = Math.max(this.furthest[index], share);
    });
  }

  /** Between 0 and 1; 1 if there is nothing to read. */
  get share() {
    if (!this.furthest.length) return 1;
    const mean = this.furthest.reduce((sum, share) => sum + share, 0) / this.furthest.length;
    return Math.round(mean * 1000) / 1000;
  }
}
