/** The way to the server: JSON only, with a time limit, and with errors that say whether trying again can help. */

const ROOT = "/api/v1";

/** An answer of the server that is not a success, or none at all (status 0). */
export class Refused extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {number} after */
  constructor(status, code, message, after = 0) {
    super(message);
    this.status = status;
    this.code = code;
    /** Seconds to wait, if the server said so. */
    this.after = after;
  }

  /** The session is over: sign in again. */
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
 * @param {any} [body]
 * @param {{key?: string, limit?: number}} [options] idempotency key, and milliseconds to wait at most
 * @returns {Promise<any>}
 */
export async function call(method, path, body, { key, limit = 15000 } = {}) {
  const headers = new Headers({ Accept: "application/json" });
  if (body !== undefined) headers.set("Content-Type", "application/json");
  if (key) headers.set("Idempotency-Key", key);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), limit);
  try {
    const response = await fetch(ROOT + path, {
      method, headers, signal: stop.signal, credentials: "same-origin", cache: "no-store", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const told = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(told)) ahead = told + 500 - Date.now();
    const text = await response.text();
    if (response.ok) return text ? JSON.parse(text) : null;
    throw refusal(response, text);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(0, "network", String(error)); // no connection, too slow, or not JSON: all of them may pass
  } finally {
    clearTimeout(timer);
  }
}

/** @param {globalThis.Response} response @param {string} text */
function refusal(response, text) {
  let [code, message] = ["", ""];
  try {
    ({ code = "", message = "" } = JSON.parse(text).error ?? {});
  } catch {
    code = "unreadable";
  }
  return new Refused(response.status, code, message, Number(response.headers.get("Retry-After")) || 0);
}
