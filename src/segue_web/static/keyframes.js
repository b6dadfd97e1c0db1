// A polygon with keyframes: its corners are moved on a frame, and those on the frames between follow.

import { savePolygon } from "./edits.js";
import { along, disk, outline } from "./paint.js";
import { state } from "./state.js";
import { view } from "./view.js";

/** @typedef {{x: number, y: number}} Point */

/** where the browser tells what lies at a place: nothing is drawn here */
const sheet = document.createElement("canvas").getContext("2d");

class Keyframes {
  constructor() {
    /** what is being moved: a corner, or with -1 all of it @type {{corner: number, at: Point, moved: boolean} | null} */
    this.held = null;
    /** corners while they are moved, and until the server has answered @type {[number, number][] | null} */
    this.corners = null;
    /** the frame and the object that these are of */
    this.of = "";
    view.handles = (context, pixel) => this.draw(context, pixel);
  }

  /** The polygon of the chosen object that can be moved on this frame. */
  get polygon() {
    const item = state.chosenObject;
    if (state.mode !== "annotate" || state.tool !== "keyframe" || !item || item.locked) return null;
    return state.current?.polygons?.[item.id] ?? null;
  }

  /** the frame and the object that are shown */
  get here() {
    return `${state.frame}.${state.object}`;
  }

  /** corners of what is shown: those that were moved, else those that the server knows */
  get shape() {
    return this.corners && this.of === this.here ? this.corners : this.polygon?.corners ?? null;
  }

  /** Take hold of what is there: a corner, a side, which gets one, or the whole. */
  grab(at, remove) {
    const shape = this.polygon && this.shape;
    if (!shape) return false;
    /** @type {[number, number][]} */
    const corners = shape.map(([x, y]) => [x, y]);
    const near = (9 * devicePixelRatio) / view.scale;
    let corner = corners.findIndex(([x, y]) => Math.hypot(at.x - x, at.y - y) < near);
    if (remove) {
      if (corner >= 0 && corners.length > 3) { corners.splice(corner, 1); this.keep(corners); }
      return corner >= 0;
    }
    let moved = false;
    if (corner < 0) {
      sheet.lineWidth = near;
      const side = corners.findIndex((from, i) => sheet.isPointInStroke(new Path2D(`M${from}L${corners[(i + 1) % corners.length]}`), at.x, at.y));
      if (side >= 0) { corner = side + 1; corners.splice(corner, 0, [at.x, at.y]); moved = true; }
      else if (!sheet.isPointInPath(new Path2D(`M${corners.join("L")}Z`), at.x, at.y, "evenodd")) return false;
    }
    this.held = { corner, at, moved };
    this.corners = corners;
    this.of = this.here;
    state.changed();
    return true;
  }

  drag(at) {
    if (!this.held || !this.corners) return;
    const { corner, at: before } = this.held;
    if (corner >= 0) this.corners[corner] = [at.x, at.y];
    else this.corners = this.corners.map(([x, y]) => [x + at.x - before.x, y + at.y - before.y]);
    this.held = { corner, at, moved: true };
    state.changed();
  }

  /** Let go, and save what was moved. */
  drop() {
    const { held, corners } = this;
    const moved = held?.moved && this.of === this.here;
    this.cancel();
    if (moved && corners) this.keep(corners);
  }

  /** Make the polygon that is shown a keyframe as it is. */
  adopt() {
    if (!this.polygon || this.polygon.kind === "key") return false;
    if (this.shape === this.polygon.corners) this.keep(this.polygon.corners);  // else it is being saved
    return true;
  }

  keep(corners) {
    this.corners = corners;
    this.of = this.here;
    void savePolygon(corners).finally(() => { if (this.corners === corners) this.corners = null; state.changed(); });
  }

  cancel() {
    const busy = this.held !== null;
    this.held = null;
    if (busy) this.corners = null;
    state.changed();
    return busy;
  }

  draw(context, pixel) {
    const polygon = this.polygon;
    if (!polygon) return;
    const corners = this.shape;
    along(context, corners);
    context.closePath();
    if (polygon.kind !== "key" && corners === polygon.corners) context.setLineDash([5 * pixel, 4 * pixel]);
    outline(context, pixel, state.chosenObject?.colour ?? "#fff");
    context.setLineDash([]);
    for (const [i, [x, y]] of corners.entries()) disk(context, x, y, (this.held?.corner === i ? 6 : 4) * pixel, "#fff");
  }
}

export const keyframes = new Keyframes();
