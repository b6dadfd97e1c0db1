// The tool Shape: corners that move from key to key; what is dragged gets a key on the frame.

import { Corners } from "./corners.js";
import { keepPath } from "./drafts.js";
import { changeCorner, drawShape, seenNow, setShapeKey } from "./edits.js";
import { outline } from "./paint.js";
import { distance, isInside, rounded, toLine } from "./places.js";
import { pathOf } from "./prompts.js";
import { IMAGE, state } from "./state.js";
import { view } from "./view.js";

/**
 * @typedef {import("./places.js").Point} Point
 * @typedef {import("./state.js").ShapeHere & {id: number}} Shape
 * What is dragged: a corner with its handles, a handle (it begins at ``part`` of the corner), or all of a shape.
 * @typedef {{shape: Shape, corners: number[][], at: number | null, part: number, from: Point, seen: number | null}}
 *   Grabbed
 */

/** pixels of the page within which a corner is taken hold of */
const NEAR = 9;

class ShapeTool extends Corners {
  /** whether what is drawn cuts a hole into the shapes of the object */
  hole = false;
  /** @type {Grabbed | null} */
  grabbed = null;
  /** the shape that was used last @type {number | null} */
  last = null;

  constructor() {
    super();
    view.shapes = () => (state.usedTool === "shape" && !this.grabbed ? this.here : []);
  }

  /** the shapes of the selected object on this frame @returns {Shape[]} */
  get here() {
    const corners = state.current?.shapes ?? {};
    return this.known.flatMap(({ id }) => (corners[id] ? [{ id, ...corners[id] }] : []));
  }

  /** all shapes of the selected object */
  get known() {
    return state.shapes.filter(({ object }) => object === state.object);
  }

  /** the shape that commands are for: the one that was used last, else the last one */
  get chosen() {
    return this.known.find(({ id }) => id === this.last) ?? this.known.at(-1);
  }

  /** A button is pressed; tells whether something is dragged now. */
  press(/** @type {Point} */ at, /** @type {boolean} */ opposite) {
    const hit = this.path.length ? null : this.grab(at);
    if (opposite) {
      if (hit && hit.at !== null && !hit.part) changeCorner(hit.shape.id, hit.at, "remove");
      return false;
    }
    this.grabbed = hit;
    if (hit) this.last = hit.shape.id;
    else this.corner(at);
    return hit !== null;
  }

  /** What lies at a place: a handle or a corner, or all of a shape. @returns {Grabbed | null} */
  grab(/** @type {Point} */ at) {
    const near = (NEAR * devicePixelRatio) / view.scale;
    for (const shape of [...this.here].reverse()) {
      const about = { shape, corners: shape.corners.map((corner) => [...corner]), from: at, seen: seenNow() };
      for (const [i, corner] of shape.corners.entries()) {
        const [x, y] = corner;
        for (const part of [2, 4])
          if (
            (corner[part] || corner[part + 1]) &&
            near > distance(at, { x: x + corner[part], y: y + corner[part + 1] })
          )
            return { ...about, at: i, part };
        if (distance(at, { x, y }) < near) return { ...about, at: i, part: 0 };
      }
      if (shape.on && isInside(at, shape.corners)) return { ...about, at: null, part: 0 };
    }
    return null;
  }

  /** Drag what is held to a place. */
  drag(/** @type {Point} */ to) {
    const { grabbed } = this;
    if (!grabbed) return;
    const { shape, at, part, from } = grabbed;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    grabbed.corners = shape.corners.map((corner, i) => {
      const moved = [...corner];
      if (at !== null && i !== at) return moved;
      moved[part] += dx;
      moved[part + 1] += dy;
      if (part) {
        // The outline stays smooth there: the other handle turns with it.
        const other = 6 - part;
        const [mine, length] = [Math.hypot(moved[part], moved[part + 1]), Math.hypot(moved[other], moved[other + 1])];
        if (mine)
          [moved[other], moved[other + 1]] = [-moved[part] * (length / mine), -moved[part + 1] * (length / mine)];
      }
      return moved;
    });
    view.draft = (context, pixel) => {
      outline(context, pixel, state.colour, 1.5, pathOf(grabbed.corners));
    };
    state.changed(IMAGE);
  }

  /** Let go of what is held: the shape has a key on this frame then. */
  release() {
    const { grabbed } = this;
    if (!grabbed) return;
    this.grabbed = view.draft = null;
    state.changed(IMAGE);
    const { shape, seen } = grabbed;
    const corners = grabbed.corners.map((corner) => corner.map((value) => Math.round(value * 100) / 100));
    if (JSON.stringify(corners) !== JSON.stringify(shape.corners)) setShapeKey(shape.id, { corners }, seen);
  }

  /** A double click: round or pointed where a corner is, else a further corner on a line. */
  doubleClick(/** @type {Point} */ at) {
    if (this.path.length) {
      this.close();
      return;
    }
    const hit = this.grab(at);
    if (hit && hit.at !== null) {
      changeCorner(hit.shape.id, hit.at, "bend");
      return;
    }
    const near = (NEAR * devicePixelRatio) / view.scale;
    for (const { id, corners } of this.here) {
      const place = corners.findIndex((corner, i) => toLine(at, corner, corners[(i + 1) % corners.length]) < near);
      if (place >= 0) {
        changeCorner(id, place, "add");
        return;
      }
    }
  }

  close() {
    const { path, hole } = this;
    this.cancel();
    view.draft = null;
    state.changed();
    if (path.length > 2) void drawShape(path.map(rounded), hole && this.known.length > 0);
    this.hole = false;
  }

  /** Enter is pressed where the cross is: it takes hold, and lets go; or a corner is drawn, and twice closes. */
  useAt(/** @type {Point} */ at) {
    if (this.grabbed) {
      this.release();
      return;
    }
    if (this.isLast(at)) this.close();
    else this.press({ ...at }, false);
  }

  /** Forget what is drawn or dragged; tells whether anything was. */
  cancel() {
    const busy = this.path.length > 0 || this.grabbed !== null;
    this.path = [];
    this.grabbed = null;
    return busy;
  }
}

export const shapes = new ShapeTool();

keepPath("shape", shapes);
