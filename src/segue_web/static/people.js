// Who has done what, and comments, as texts; no part of the page is touched.

/**
 * @typedef {{id: number, object: number | null, frame: number | null, text: string, user: string, resolved: string}}
 *   Remark
 * @typedef {{user: string, masks: number, reviewed: number, comments: number}} Person
 */

/**
 * Whether work is one's own; without a name it is, but for a guest, who always has one.
 * @param {string} name @param {string} me @param {boolean} guest
 */
export const isOwn = (name, me, guest) => name === me || (!name && !guest);

/** Whose work it is, for somebody. @param {string} name @param {string} me @param {boolean} guest */
export const whose = (name, me, guest) => (isOwn(name, me, guest) ? "you" : name || "somebody else");

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
export function placeOf({ object, frame }, objects) {
  const name = object === null ? "" : (objects.find(({ id }) => id === object)?.name ?? `Object ${object}`);
  return [name, frame === null ? "" : `frame ${frame}`].filter(Boolean).join(", ") || "the video";
}

/**
 * Open comments before resolved ones, those of the chosen object and of this frame first.
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
