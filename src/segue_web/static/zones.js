// Zones and lines in an image, and their editor; the page of a run and that of cameras share them.

import { label } from "./happenings.js";
import { along, outline } from "./paint.js";

/** @typedef {{name: string, points: [number, number][], percent: boolean}} Zone */

/** A zone as the file of cameras has it. @param {Zone} zone */
export const zoneText = ({ name, points, percent }) =>
  `${name}=${points.map(([x, y]) => (percent ? `${x}%,${y}%` : `${x},${y}`)).join(" ")}`;

/** A least height as the file of cameras has it. @param {[number, number]} height row, 0 for all, and pixels */
export const heightText = ([row, least]) => (row ? `${row}:${least}` : String(least));

/**
 * The least height that one at a row replaces, or null: the one of all rows, that of the same row, or of two the one
 * that stands nearer.
 * @param {[number, number][]} heights @param {number} row
 */
export function replacedHeight(heights, row) {
  const [nearest] = [...heights].sort(([a], [b]) => Math.abs(a - row) - Math.abs(b - row));
  return nearest && (heights.length > 1 || !nearest[0] || nearest[0] === row) ? nearest : null;
}

/** A name that none of these zones has. @param {Zone[]} zones */
export function freeName(zones) {
  const names = new Set(zones.map(({ name }) => name));
  let [name, number] = ["zone", 1];
  while (names.has(name)) name = `zone ${++number}`;
  return name;
}

/**
 * The corners of a zone in an image of a width and height; ``full`` is the size of the source, which zones in pixels
 * are of.
 * @param {Zone} zone @param {[number, number]} size height and width @param {[number, number]} full
 * @returns {[number, number][]}
 */
export function cornersOf(zone, [height, width], full) {
  const [across, down] = zone.percent ? [width / 100, height / 100] : [width / full[1], height / full[0]];
  return zone.points.map(([x, y]) => [x * across, y * down]);
}

/**
 * Draw zones and lines with their names.
 * @param {CanvasRenderingContext2D} context @param {Zone[]} zones @param {[number, number]} size
 * @param {[number, number]} full @param {number} pixel @param {string} colour
 */
export function drawZones(context, zones, size, full, pixel, colour = "#ffe066") {
  for (const zone of zones) {
    const points = cornersOf(zone, size, full);
    along(context, points);
    if (points.length > 2) context.closePath();
    outline(context, pixel, colour, 2);
    const [x, y] = points.reduce(([a, b], [c, d]) => [a + c / points.length, b + d / points.length], [0, 0]);
    label(context, zone.name, x, y, pixel, colour);
  }
}

/**
 * Draw regions whose pixels belong to no event: darker than the image.
 * @param {CanvasRenderingContext2D} context @param {Zone[]} zones @param {[number, number]} size
 * @param {[number, number]} full @param {number} pixel
 */
export function drawIgnored(context, zones, size, full, pixel) {
  context.fillStyle = "rgb(10 12 16 / 62%)";
  for (const zone of zones) {
    along(context, cornersOf(zone, size, full));
    context.closePath();
    context.fill();
  }
  drawZones(context, zones, size, full, pixel, "#b9c0cc");
}

/**
 * Draw the least heights of objects as upright bars on the rows where they stand.
 * @param {CanvasRenderingContext2D} context @param {[number, number][]} heights row and pixels of the source
 * @param {[number, number]} size @param {[number, number]} full @param {number} pixel
 */
export function drawHeights(context, heights, [height, width], full, pixel) {
  const colour = "#8ce99a";
  const scale = height / full[0];
  for (const [place, [row, least]] of heights.entries()) {
    const x = width * (0.4 + 0.2 * place);
    // One height for all rows stands in the middle.
    const foot = heights.length === 1 && !row ? height / 2 + (least * scale) / 2 : row * scale;
    const end = 6 * pixel;
    for (const points of [
      [
        [x, foot],
        [x, foot - least * scale],
      ],
      [
        [x - end, foot],
        [x + end, foot],
      ],
      [
        [x - end, foot - least * scale],
        [x + end, foot - least * scale],
      ],
    ]) {
      along(context, points);
      outline(context, pixel, colour, 2);
    }
    label(context, `at least ${Math.round(least)} px`, x, foot - least * scale - 10 * pixel, pixel, colour);
  }
}

/** Makes the corners of a zone by clicks on an image. */
export class ZoneEditor {
  active = false;
  /** corners, in shares of the image @type {[number, number][]} */
  points = [];
  /** name of the zone that is changed, or nothing */
  was = "";
  /** its text when it began to be changed @type {string | null} */
  previous = null;
  /** corners that it may have at most */
  most = 100;

  /**
   * @param {HTMLCanvasElement} canvas what is clicked on
   * @param {() => {left: number, top: number, width: number, height: number} | null} placed
   *   where the image lies on it, in pixels of the canvas
   * @param {() => void} changed called after each change
   */
  constructor(canvas, placed, changed) {
    this.changed = changed;
    canvas.addEventListener("click", (event) => {
      const at = this.active ? placed() : null;
      if (!at) return;
      const share = (/** @type {number} */ pixels, /** @type {number} */ begin, /** @type {number} */ length) =>
        Math.min(1, Math.max(0, (pixels * devicePixelRatio - begin) / length));
      if (this.points.length >= this.most) this.points.length = 0;
      this.points.push([share(event.offsetX, at.left, at.width), share(event.offsetY, at.top, at.height)]);
      changed();
    });
  }

  /** Begin a zone, or change one with these corners. @param {[number, number][]} points */
  begin(points = [], was = "", /** @type {string | null} */ previous = null) {
    Object.assign(this, { active: true, points, was, previous });
    this.changed();
  }

  end() {
    Object.assign(this, { active: false, points: [], was: "", previous: null });
    this.changed();
  }

  removePoint() {
    this.points.pop();
    this.changed();
  }

  /** whether the corners make a zone, or at least a line */
  get complete() {
    return this.points.length > 1;
  }

  /** Draw the corners in an image of a width and height; a single one is a dot. */
  draw(
    /** @type {CanvasRenderingContext2D} */ context,
    /** @type {number} */ width,
    /** @type {number} */ height,
    /** @type {number} */ pixel,
  ) {
    const points = this.points.map(([x, y]) => [x * width, y * height]);
    if (!points.length) return;
    along(context, points);
    if (points.length > 2) context.closePath();
    outline(context, pixel, "#7dd3fc", 2);
    context.fillStyle = "#7dd3fc";
    for (const [x, y] of points) context.fillRect(x - 3 * pixel, y - 3 * pixel, 6 * pixel, 6 * pixel);
  }
}
