// The tool Polygon: corner after corner, and the corners of a mask that can be moved.

import { Corners } from "./corners.js";
import { keepPath } from "./drafts.js";
import { reshape, stroke } from "./edits.js";
import { request } from "./link.js";
import { along, outline } from "./paint.js";
import { rounded } from "./places.js";
import { IMAGE, state } from "./state.js";
import { view } from "./view.js";

/** @typedef {import("./places.js").Point} Point */

class Polygon extends Corners {
  colour = "#ffffff22";
  /**
   * outlines of the selected object's mask while the polygon tool is active
   * @type {{counts: string, polygons: {points: number[][], hole: boolean}[]}}
   */
  outline = { counts: "", polygons: [] };
  /** the corner that is moved @type {{points: number[][], before: number[][], hole: boolean, at: number} | null} */
  grabbed = null;

  constructor() {
    super();
    state.listen(() => this.followOutline());
  }

  /** Show the corners of the selected object's mask while the polygon tool is active. */
  followOutline() {
    const counts =
      state.usedTool === "polygon" && !this.path.length && state.editable && state.object !== null
        ? (state.current?.masks[state.object] ?? "")
        : "";
    if (counts === this.outline.counts) return;
    const shown = (this.outline = { counts, polygons: [] });
    view.corners = [];
    if (counts)
      void request("outline", { frame: state.frame, object: state.object })
        .catch(() => ({ polygons: [] }))
        .then(({ polygons }) => {
          if (this.outline !== shown) return;
          shown.polygons = polygons;
          view.corners = polygons.flatMap((/** @type {{points: number[][]}} */ { points }) => points);
          state.changed();
        });
  }

  /** A button is pressed; tells whether a corner of the mask is held now. */
  press(/** @type {Point} */ at, /** @type {boolean} */ opposite) {
    this.grabbed = this.path.length || opposite ? null : this.grab(at);
    if (!this.grabbed && !opposite) this.corner(at);
    return this.grabbed !== null;
  }

  /** Take hold of the corner of an outline at a place, if there is one. */
  grab(/** @type {Point} */ at) {
    const near = (8 * devicePixelRatio) / view.scale;
    for (const { points, hole } of this.outline.polygons) {
      const place = points.findIndex(([x, y]) => Math.hypot(x - at.x, y - at.y) < near);
      if (place >= 0) return { points, before: points.map((corner) => [...corner]), hole, at: place };
    }
    return null;
  }

  /** Move the corner that is held; the corners that are shown are the same arrays. */
  moveCorner(/** @type {Point} */ { x, y }) {
    const { grabbed } = this;
    if (!grabbed) return;
    [grabbed.points[grabbed.at][0], grabbed.points[grabbed.at][1]] = rounded({ x, y });
    view.draft = (context, pixel) => {
      along(context, grabbed.points);
      context.closePath();
      outline(context, pixel, state.colour);
    };
    state.changed(IMAGE);
  }

  /** Let go of the corner that is held. */
  release() {
    if (!this.grabbed) return;
    const { points, before, hole } = this.grabbed;
    this.grabbed = view.draft = null;
    if (points.some(([x, y], i) => x !== before[i][0] || y !== before[i][1])) reshape(before, points, hole);
  }

  close() {
    const corners = this.path;
    this.cancel();
    view.draft = view.brush = null;
    state.changed();
    if (corners.length > 2) stroke(corners.map(rounded), null, true);
  }

  /** Enter is pressed where the cross is; twice at one place closes. */
  useAt(/** @type {Point} */ at) {
    if (this.isLast(at)) this.close();
    else this.corner({ ...at });
  }

  /** Forget what is being drawn or moved; tells whether anything was. */
  cancel() {
    const busy = this.path.length > 0 || this.grabbed !== null;
    this.path = [];
    if (this.grabbed) Object.assign(this, { grabbed: null, outline: { counts: "", polygons: [] } }); // asked for anew
    return busy;
  }
}

export const polygon = new Polygon();

keepPath("polygon", polygon);
