/** The way to the server: JSON only, with a time limit, and with errors that say whether trying again can help. */

import { meta } from "./dom.js";
import { has, t } from "./words.js";

const ROOT = "/api/v1";

/** An answer of the server that is not a success, or none at all: status 0, also if something in between answered in its stead. */
export class Refused extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {number} after */
  constructor(status, code, message, after = 0) {
    super(message);
    this.status = status;
    this.code = code;
    /** Seconds to wait, if the server said so. */
    this.after = after;
  }

  /** The session is over, or it is another one's: sign in again. */
  get expired() {
    return this.status === 401;
  }

  /** Trying the same again later may succeed. */
  get passing() {
    return this.status === 0 || this.status >= 500 || [408, 423, 425, 429].includes(this.status);
  }
}

/** Milliseconds that the server's clock is ahead of this one's; leases end by the server's. */
export let ahead = 0;

/**
 * @param {string} method
 * @param {string} path under /api/v1
 * @param {any} [body] a File is sent as it is
 * @param {{key?: string, limit?: number}} [options] idempotency key, and milliseconds to wait at most
 * @returns {Promise<any>}
 */
export async function call(method, path, body, { key, limit = 15000 } = {}) {
  const headers = new Headers({ Accept: "application/json" });
  const file = body instanceof Blob;
  if (body !== undefined) headers.set("Content-Type", file ? "application/x-ndjson" : "application/json");
  if (meta("user")) headers.set("X-Prefloop-User", meta("user")); // somebody else may sign in in another tab
  if (key) headers.set("Idempotency-Key", key);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), limit);
  try {
    const response = await fetch(ROOT + path, {
      method, headers, signal: stop.signal, credentials: "same-origin", cache: "no-store", redirect: "error",
      body: body === undefined || file ? body : JSON.stringify(body),
    });
    const told = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(told)) ahead = told + 500 - Date.now();
    const text = await response.text();
    if (response.ok) return JSON.parse(text); // our server always says something
    throw refusal(response, text);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(0, "network", t("refusal.network")); // no connection, too slow, or not JSON: all of them may pass
  } finally {
    clearTimeout(timer);
  }
}

/** The server's own refusals have a code; whatever has none was said by something in between, and may pass. @param {globalThis.Response} response @param {string} text */
function refusal(response, text) {
  const after = Number(response.headers.get("Retry-After")) || 0;
  const { code, message, why } = told(text);
  if (typeof code !== "string" || typeof message !== "string") return new Refused(0, "no_answer", t("refusal.no_answer", { status: response.status }), after);
  return new Refused(response.status, code, has(`refusal.${code}`) ? t(`refusal.${code}`, { why: cause(why) ?? message }) : message, after);
}

/** What is wrong with a field, in the reader's language; the field's own name stays in backticks. @param {any} why */
function cause(why) {
  if (!why || !has(`cause.${why.cause}`)) return null;
  const last = String(why.field).split(".").filter((part) => !/^\d+$/.test(part)).at(-1);
  const name = has(`field.${last}`) ? t(`field.${last}`) : "";
  return t("cause.says", { name, field: why.field, says: t(`cause.${why.cause}`, { limit: why.limit }) }).trim();
}

/** @param {string} text @returns {{code?: unknown, message?: unknown, why?: unknown}} */
function told(text) {
  try {
    return JSON.parse(text)?.error ?? {};
  } catch {
    return {};
  }
}
