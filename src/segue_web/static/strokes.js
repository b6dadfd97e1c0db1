// The tools Box, Scribble, Brush and Eraser: what is drawn from the press of a button to its release.

import { click, scribble, stroke } from "./edits.js";
import { along, outline } from "./paint.js";
import { boxOf, rounded } from "./places.js";
import { IMAGE, state } from "./state.js";
import { view } from "./view.js";

/** half the width of the brush */
const radius = () => Number(state.settings.brush) / 2;

const brushes = () => state.usedTool === "brush" || state.usedTool === "eraser";

/** @typedef {import("./places.js").Point} Point */

class Strokes {
  /** @type {Point[]} */
  path = [];

  /** Whether the tool takes two places by keyboard: corners of a box, ends of a stroke. */
  get fromTo() {
    return state.usedTool === "box" || state.usedTool === "scribble";
  }

  begin(/** @type {Point} */ at) {
    this.path = [at];
    this.preview();
  }

  go(/** @type {Point} */ at) {
    this.path.push(at);
    this.preview();
  }

  /** Show the disk of a brush at the pointer, null for none. */
  hover(/** @type {Point | null} */ at) {
    const shown = brushes() ? at : null;
    view.draft = shown ? (context, pixel) => this.ring(context, shown, pixel) : null;
    view.brush = shown ? { ...shown, radius: radius() } : null;
    if (brushes()) state.changed(IMAGE);
  }

  preview() {
    const { path } = this;
    const { tool } = state;
    if (brushes()) view.brush = { ...path[path.length - 1], radius: radius() };
    view.draft = (context, pixel) => {
      if (tool === "box") {
        const [a, b] = [path[0], path[path.length - 1]];
        context.fillStyle = "#ffffff22";
        context.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
        context.lineWidth = 1.5 * pixel;
        context.strokeStyle = state.colour;
        context.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
      } else {
        context.globalAlpha = 0.55;
        this.trace(context, tool === "eraser" ? "#ffffff" : state.colour, brushes() ? 2 * radius() : 4 * pixel);
        context.globalAlpha = 1;
        if (brushes()) this.ring(context, path[path.length - 1], pixel);
      }
    };
    state.changed(IMAGE);
  }

  ring(/** @type {CanvasRenderingContext2D} */ context, /** @type {Point} */ at, /** @type {number} */ pixel) {
    context.beginPath();
    context.arc(at.x, at.y, radius(), 0, 7);
    outline(context, pixel, state.tool === "eraser" ? "#fff" : state.colour);
  }

  trace(/** @type {CanvasRenderingContext2D} */ context, /** @type {string} */ colour, /** @type {number} */ width) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = width;
    context.strokeStyle = colour;
    const corners = this.path.map(({ x, y }) => [x, y]);
    along(context, corners);
    if (corners.length === 1) context.lineTo(this.path[0].x + 0.01, this.path[0].y);
    context.stroke();
  }

  /** The button is released: what was drawn becomes an edit. */
  finish() {
    const { path } = this;
    view.draft = null;
    if (state.tool === "box") {
      const box = boxOf(path[0], path[path.length - 1]);
      if (box[2] - box[0] > 2 && box[3] - box[1] > 2) void click([], box);
    } else if (state.tool === "scribble") scribble(path.map(rounded));
    else stroke(path.map(rounded), 2 * radius(), state.tool === "brush");
    this.path = [];
    state.changed(IMAGE);
  }

  /** Enter is pressed where the cross is: a box and a scribble take two places, a brush one. */
  useAt(/** @type {Point} */ at) {
    if (this.fromTo && !this.path.length) {
      this.begin({ ...at });
      return;
    }
    this.path = [...(this.fromTo ? this.path.slice(0, 1) : []), { ...at }];
    this.finish();
  }

  /** Forget what is being drawn; tells whether anything was. */
  cancel() {
    const busy = this.path.length > 0;
    this.path = [];
    return busy;
  }
}

export const strokes = new Strokes();
