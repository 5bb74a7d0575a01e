/**
 * The shapes that travel between the server and the page. Only comments: nothing here runs.
 *
 * @typedef {[string, Record<string, string>, (string | Element)[]]} Element  [tag, attributes, children]
 * @typedef {string | Element} Tree  text or element
 *
 * @typedef {object} Message
 * @property {"system" | "user" | "assistant"} role
 * @property {Tree[]} tree
 *
 * @typedef {object} Response
 * @property {number} slot      place in the order shown
 * @property {Tree[]} tree
 * @property {string} text
 *
 * @typedef {object} Presentation
 * @property {string} id
 * @property {"pair" | "ranking" | "rating" | "thumb" | "edit" | "demonstration" | "chat"} kind
 * @property {"work" | "calibration"} purpose
 * @property {number} guideline
 * @property {number} expires        UTC seconds, by the server's clock
 * @property {Draft | null} draft
 * @property {Message[]} messages
 * @property {Response[]} responses
 * @property {string[]} axes
 * @property {boolean} strength      a side of a pair is asked how much better it is
 * @property {{today: number, left: number}} progress
 * @property {{number: number, of: number}} [practice]   in a calibration round only
 *
 * @typedef {Record<string, any>} Answer   what the API calls `answer`, by kind
 *
 * @typedef {object} Draft
 * @property {number} at             milliseconds, by this browser's clock
 * @property {any} state             what the kind's view gives back
 * @property {string} comment
 *
 * @typedef {object} Entry             something in the outbox
 * @property {string} id             idempotency key
 * @property {string} path
 * @property {any} body
 * @property {string} presentation
 * @property {number} at
 *
 * @typedef {object} Past              a judgement that can be reopened
 * @property {string} judgement
 * @property {Presentation} item
 * @property {any} state
 * @property {string} comment
 * @property {string} says           the answer in words
 * @property {string} [language]     of those words
 *
 * @typedef {object} Place             where a view may put things
 * @property {Presentation} item
 * @property {HTMLElement[]} panes   the responses' cards
 * @property {HTMLElement[]} heads   where each card's head shows what it was given
 * @property {Record<string, string>} bound  keys
 * @property {(direct?: boolean) => void} changed    to be called when the answer changes; direct: by a key of its own, or pointed at
 * @property {(text: string) => void} announce  says something to a screen reader
 *
 * @typedef {object} View              one kind of decision
 * @property {HTMLElement} panel     what is asked
 * @property {HTMLElement | null} body   what stands beside the responses
 * @property {boolean} [single]      one choice is the whole answer
 * @property {() => Answer | null} answer   null while something is missing
 * @property {() => string} ask      somebody confirmed too early: leads to what is missing, and says it
 * @property {() => string} says     the answer in words
 * @property {() => any} state       for drafts
 * @property {(state: any) => void} restore
 * @property {(action: string) => boolean} act   true if it took the action
 * @property {() => void} [shown]    called when it is on the page
 */

export {};
