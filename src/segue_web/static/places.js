// Places on the image, in pixels of the video, without a browser.

/** @typedef {{x: number, y: number}} Point */

/** A place as clicks have it. @param {Point} at */
export const rounded = (at) => [Math.round(at.x * 10) / 10, Math.round(at.y * 10) / 10];

/** How far two places are apart. @param {Point} one @param {Point} other */
export const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);

/** The corners of a box between two places. @param {Point} a @param {Point} b */
export const boxOf = (a, b) => [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];

/** Whether a place lies on the image. @param {Point} at @param {{width: number, height: number}} size */
export const isOn = ({ x, y }, { width, height }) => x >= 0 && y >= 0 && x < width && y < height;
