// Corners that are drawn one after the other, until they enclose an area.

import { along, disk, outline } from "./paint.js";
import { distance } from "./places.js";
import { IMAGE, state } from "./state.js";
import { view } from "./view.js";

/** @typedef {import("./places.js").Point} Point */

/** pixels of the page within which the first corner is met */
const NEAR = 10;

export class Corners {
  /** @type {Point[]} */
  path = [];
  /** what fills the area @type {string | null} */
  colour = null;

  /** Make an area of the corners. */
  close() {}

  /** Draw a corner; the first one closes the area. */
  corner(/** @type {Point} */ at) {
    const near = (NEAR * devicePixelRatio) / view.scale;
    if (this.path.length > 2 && distance(at, this.path[0]) < near) {
      this.close();
      return;
    }
    this.path.push(at);
    this.draw(null);
  }

  /** Whether the last corner is here: a second one closes the area. */
  isLast(/** @type {Point} */ { x, y }) {
    const last = this.path.at(-1);
    return last !== undefined && last.x === x && last.y === y;
  }

  /** Show the corners so far, and a line to a place, null for none. */
  draw(/** @type {Point | null} */ at) {
    const corners = (at ? [...this.path, at] : this.path).map(({ x, y }) => [x, y]);
    view.draft = (context, pixel) => {
      along(context, corners);
      if (this.colour) {
        context.fillStyle = this.colour;
        context.fill();
      }
      outline(context, pixel, state.colour, 2);
      for (const { x, y } of this.path) disk(context, x, y, 4 * pixel, "#fff");
    };
    state.changed(IMAGE);
  }

  /** Go on with corners that were given up. */
  resume(/** @type {Point[]} */ corners) {
    this.path = corners;
    this.draw(null);
  }
}
