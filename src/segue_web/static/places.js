// Places on the image, in pixels of the video, without a browser.

/** @typedef {{x: number, y: number}} Point */

/**
 * Whether a place is inside of a polygon. @param {Point} at @param {number[][]} corners
 */
export function isInside({ x, y }, corners) {
  let inside = false;
  corners.forEach(([x1, y1], i) => {
    const [x0, y0] = corners[(i + corners.length - 1) % corners.length];
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) inside = !inside;
  });
  return inside;
}

/**
 * How far a place is from a line between two corners. @param {Point} at @param {number[]} start @param {number[]} end
 */
export function toLine({ x, y }, [x0, y0], [x1, y1]) {
  const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
  const share = length ? Math.min(1, Math.max(0, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length)) : 0;
  return Math.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0));
}

/** A place as clicks have it. @param {Point} at */
export const rounded = (at) => [Math.round(at.x * 10) / 10, Math.round(at.y * 10) / 10];

/** How far two places are apart. @param {Point} one @param {Point} other */
export const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);

/** The corners of a box between two places. @param {Point} a @param {Point} b */
export const boxOf = (a, b) => [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];

/** Whether a place lies on the image. @param {Point} at @param {{width: number, height: number}} size */
export const isOn = ({ x, y }, { width, height }) => x >= 0 && y >= 0 && x < width && y < height;

/**
 * A place at least so far from another one, in the same direction; right above it where they are the same.
 * @param {Point} at @param {Point} other @param {number} least @returns {Point}
 */
export function awayFrom(at, other, least) {
  const away = distance(at, other);
  if (away >= least) return at;
  if (away < 1e-6) return { x: at.x, y: at.y - least };
  const share = least / away;
  return { x: other.x + (at.x - other.x) * share, y: other.y + (at.y - other.y) * share };
}

/**
 * Where an image lies on a canvas, as large as there is room and in its middle.
 * @param {[number, number]} size height and width of the image @param {[number, number]} room those of the canvas
 * @param {number} margin pixels of the canvas that stay free around it
 */
export function fitted([height, width], [rows, columns], margin = 0) {
  const scale = Math.max(0.01, Math.min((columns - 2 * margin) / width, (rows - 2 * margin) / height));
  const [across, down] = [width * scale, height * scale];
  return { left: (columns - across) / 2, top: (rows - down) / 2, width: across, height: down };
}
