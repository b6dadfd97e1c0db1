// Who has done what, and comments, as texts; no part of the page is touched.

/**
 * @typedef {{id: number, object: number | null, frame: number | null, text: string, user: string, resolved: string, x?:
 *   number | null, y?: number | null}} Remark
 * @typedef {{user: string, masks: number, reviewed: number, comments: number}} Person
 */

/**
 * Whether work is one's own; without a name it is, but for a guest, who always has one.
 * @param {string} name @param {string} me @param {boolean} guest
 */
export const isOwn = (name, me, guest) => name === me || (!name && !guest);

/** Name of an author as shown to a person. @param {string} name @param {string} me @param {boolean} guest */
export const whose = (name, me, guest) => (isOwn(name, me, guest) ? "you" : name || "another person");

/** @param {number} count @param {string} what */
const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** What a person has done. @param {Person} person */
export function contribution({ masks, reviewed, comments }) {
  const parts = [
    masks ? `masks on ${counted(masks, "frame")}` : "",
    reviewed ? `${counted(reviewed, "frame")} reviewed` : "",
    comments ? counted(comments, "comment") : "",
  ].filter(Boolean);
  return parts.join(", ") || "nothing yet";
}

/** What a comment is on. @param {Remark} remark @param {{id: number, name: string}[]} objects */
export function placeOf({ object, frame, x = null, y = null }, objects) {
  const name = object === null ? "" : (objects.find(({ id }) => id === object)?.name ?? `Object ${object}`);
  const at = x === null || y === null ? "" : `at ${Math.round(x)}, ${Math.round(y)}`;
  return [name, frame === null ? "" : `frame ${frame}`, at].filter(Boolean).join(", ") || "the video";
}

/**
 * Open comments before resolved ones, those of the selected object and of this frame first.
 * @param {Remark[]} remarks @param {number | null} object @param {number} frame @returns {Remark[]}
 */
export function ordered(remarks, object, frame) {
  const rank = (/** @type {Remark} */ one) =>
    (one.resolved ? 4 : 0) + (one.frame === frame ? 0 : 1) + (one.object !== null && one.object === object ? 0 : 2);
  return [...remarks].sort((a, b) => rank(a) - rank(b) || b.id - a.id);
}

/** Open comments on an object, anywhere, or on a frame. @param {Remark[]} remarks @param {number | null} object
 * @param {number} frame */
export const openHere = (remarks, object, frame) =>
  remarks.filter((one) => !one.resolved && (one.object === null ? one.frame === frame : one.object === object));

/** Open comments on an object, or on frames and no object. @param {Remark[]} remarks @param {number | null} of */
export const remarksOn = (remarks, of) =>
  remarks.filter(({ object, frame, resolved }) => !resolved && object === of && (object !== null || frame !== null));

/**
 * Open comments on a place of a frame. @param {Remark[]} remarks @param {number} frame
 * @returns {(Remark & {x: number, y: number})[]}
 */
export const pinsOn = (remarks, frame) =>
  remarks.flatMap(({ x, y, ...one }) =>
    one.frame === frame && !one.resolved && typeof x === "number" && typeof y === "number" ? [{ ...one, x, y }] : [],
  );

/**
 * @typedef {{label: string, user: string, undone: boolean, time: number | null, objects: string[], frames:
 *   [number, number] | null}} Change
 */

/** objects that are named in one line */
const NAMED = 2;

const rangeText = (/** @type {number} */ first, /** @type {number} */ last) =>
  first === last ? `frame ${first}` : `frames ${first} to ${last}`;

/** What a change is of. @param {Change} change */
export function changeText({ label, undone, objects, frames }) {
  const rest = objects.length - NAMED;
  const names = rest > 1 ? [...objects.slice(0, NAMED), `${rest} more`] : objects;
  const where = frames === null ? "" : rangeText(...frames);
  return [undone ? `${label} (undone)` : label, names.join(", "), where].filter(Boolean).join("; ");
}

/**
 * When something was done, seconds since 1970: the time of day, before it the date where that is another one.
 * @param {number | null} time @param {Date} now
 */
export function whenText(time, now) {
  if (time === null) return "";
  const date = new Date(1000 * time);
  const day = date.toLocaleDateString("en", { day: "numeric", month: "short" });
  const clock = date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false });
  return date.toDateString() === now.toDateString() ? clock : `${day}, ${clock}`;
}

/**
 * Open comments of others that came after those that this browser has shown.
 * @param {Remark[]} remarks @param {number} last @param {string} me @param {boolean} guest
 */
export const unread = (remarks, last, me, guest) =>
  remarks.filter(({ id, resolved, user }) => id > last && !resolved && !isOwn(user, me, guest));
