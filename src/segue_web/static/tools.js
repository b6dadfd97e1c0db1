// Tools: what a pointer, or the cross that the keyboard moves, does to the picture.

import { Keyframes } from "./keyframes.js";
import { runsOfAlpha } from "./runs.js";
import { point } from "./view.js";

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{id: string, key: string, icon: string, label: string, name: string, hint: string}} ToolInfo
 */

/** @type {ToolInfo[]} */
export const TOOLS = [
  { id: "click", key: "c", icon: "click", label: "Include", name: "Include: click on the object", hint: "Click on the object. Right click, or hold Alt, to say what does not belong to it." },
  { id: "minus", key: "x", icon: "minus", label: "Exclude", name: "Exclude: click on what does not belong to the object", hint: "Click on what does not belong to the object." },
  { id: "box", key: "r", icon: "box", label: "Box", name: "Box", hint: "Draw a box around the object." },
  { id: "brush", key: "b", icon: "brush", label: "Brush", name: "Brush", hint: "Paint the object. [ and ] change the size." },
  { id: "eraser", key: "e", icon: "eraser", label: "Eraser", name: "Eraser", hint: "Erase what does not belong to the object. [ and ] change the size." },
  { id: "polygon", key: "p", icon: "polygon", label: "Polygon", name: "Polygon", hint: "Click corner after corner; click the first one again, or press Enter, to close. Escape gives up." },
  { id: "keyframe", key: "i", icon: "keyframe", label: "Keyframe", name: "Polygon with keyframes: interpolated on the frames between", hint: "Draw a polygon corner by corner. Go to a later frame and drag its corners, sides, or all of it; the frames between follow. Right click removes a corner." },
  { id: "hand", key: "v", icon: "hand", label: "Move", name: "Move the image", hint: "Drag to move, turn the wheel to zoom." },
];

/** milliseconds that the pointer rests before the mask of a click there is computed */
const REST = 60;

/** A place as clicks have it. @param {Point} at @returns {[number, number]} */
const rounded = (at) => [Math.round(at.x * 10) / 10, Math.round(at.y * 10) / 10];

export class Tools {
  /**
   * @param {import("./view.js").View} view
   * @param {import("./state.js").State} state
   * @param {{click: (points: [number, number, boolean][], box: number[] | null) => void,
   *   stroke: (counts: string, add: boolean) => void, polygon: (corners: [number, number][]) => Promise<void>,
   *   look: (frames: number[]) => Promise<void>, rest: (at: [number, number]) => void}} actions
   * @param {() => void} hold called when something is drawn: the frame stays
   */
  constructor(view, state, actions, hold) {
    this.view = view;
    this.state = state;
    this.actions = actions;
    this.hold = hold;
    /** @type {Map<number, Point>} */
    this.pointers = new Map();
    /** @type {"pan" | "draw" | "split" | "move" | null} */
    this.doing = null;
    /** @type {Point[]} */
    this.path = [];
    /** points that the server has not answered yet @type {[number, number, boolean][]} */
    this.pending = [];
    /** what draws these points @type {((context: CanvasRenderingContext2D, pixel: number) => void) | null} */
    this.shown = null;
    /** the timer of a pointer that rests */
    this.resting = 0;
    this.keyframes = new Keyframes(view, state, (corners) => actions.polygon(corners));
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => { if (this.hasCorners) this.closePolygon(); });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  get tool() {
    return this.state.mode === "annotate" ? this.state.tool : "hand";
  }

  /** whether corner after corner is clicked */
  get hasCorners() {
    return this.tool === "polygon" || this.tool === "keyframe";
  }

  /** whether it is not known yet which polygons can be moved on this frame */
  get waits() {
    return this.tool === "keyframe" && !this.path.length && !this.state.look;
  }

  get colour() {
    return this.state.chosenObject?.colour ?? "#ffffff";
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    this.view.zoom(Math.exp(-Math.max(-120, Math.min(120, lines)) / 300), this.view.place(event));
  }

  /** @param {PointerEvent} event */
  down(event) {
    this.view.canvas.setPointerCapture(event.pointerId);
    this.view.canvas.focus({ preventScroll: true });
    this.state.cursor = null;
    this.pointers.set(event.pointerId, this.view.place(event));
    if (this.pointers.size > 1) { this.cancel(); this.doing = "pan"; return; }
    const at = this.view.videoPoint(event);
    if (this.state.mode === "compare" && this.state.compare === "slider" && event.button === 0 && this.nearSplit(at)) this.doing = "split";
    else if (event.button === 1 || this.tool === "hand") this.doing = "pan";
    else if (event.button === 0 || event.button === 2) this.press(at, event.button === 2 || event.altKey);
  }

  /** @param {Point} at @param {boolean} opposite */
  press(at, opposite) {
    this.hold();
    clearTimeout(this.resting);
    if (this.tool === "click" || this.tool === "minus") {
      if (this.isInside(at)) this.click(at, (this.tool === "click") !== opposite);
    } else if (this.hasCorners) {
      if (this.waits) { this.pressLater(at, opposite); return; }
      if (this.tool === "keyframe" && !this.path.length && this.keyframes.grab(at, opposite)) this.doing = "move";
      else if (!opposite) this.corner(at);
    } else if (!opposite) {
      this.doing = "draw";
      this.path = [at];
      this.preview();
    }
  }

  /** @param {Point} at */
  isInside(at) {
    return at.x >= 0 && at.y >= 0 && at.x < this.state.video.width && at.y < this.state.video.height;
  }

  /** Press once it is known what is there; the pointer may be up again by then. @param {Point} at @param {boolean} opposite */
  async pressLater(at, opposite) {
    const { frame } = this.state;
    await this.actions.look([frame]);
    if (this.state.frame !== frame || this.tool !== "keyframe" || !this.state.look) return;
    this.press(at, opposite);
    if (this.pointers.size === 0) this.release();
  }

  /** @param {PointerEvent} event */
  move(event) {
    const before = this.pointers.get(event.pointerId);
    const now = this.view.place(event);
    if (before) this.pointers.set(event.pointerId, now);
    const at = this.view.videoPoint(event);
    if (before && this.doing === "pan") this.panOrPinch(event.pointerId, before, now);
    else if (before && this.doing === "split") this.moveSplit(at);
    else if (before && this.doing === "move") this.keyframes.drag(at);
    else if (before && this.doing === "draw") { this.path.push(at); this.preview(); }
    else this.hover(at);
  }

  /** @param {number} id @param {Point} before @param {Point} now */
  panOrPinch(id, before, now) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    if (other) {
      const old = Math.hypot(before.x - other.x, before.y - other.y);
      const distance = Math.hypot(now.x - other.x, now.y - other.y);
      this.view.zoom(distance / Math.max(old, 1), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
      this.view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else this.view.pan(now.x - before.x, now.y - before.y);
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.pointers.delete(event.pointerId);
    this.release();
  }

  release() {
    if (this.doing === "draw") this.finish();
    if (this.doing === "move") this.keyframes.drop();
    if (this.pointers.size === 0) this.doing = null;
  }

  /** @param {Point} at */
  nearSplit(at) {
    return Math.abs(at.x - this.state.split * this.state.video.width) * this.view.scale < 24 * devicePixelRatio;
  }

  /** @param {Point} at */
  moveSplit(at) {
    this.state.split = Math.min(Math.max(at.x / this.state.video.width, 0), 1);
    this.state.changed();
  }

  /** @param {Point | null} at */
  hover(at) {
    const { canvas } = this.view;
    const brushes = this.tool === "brush" || this.tool === "eraser";
    canvas.style.cursor = this.state.mode === "compare" && at && this.state.compare === "slider" && this.nearSplit(at) ? "ew-resize"
      : this.tool === "hand" ? "grab" : brushes ? "none" : "crosshair";
    clearTimeout(this.resting);
    if (at && this.tool === "click" && this.isInside(at)) this.resting = setTimeout(() => this.actions.rest(rounded(at)), REST);
    if (this.hasCorners && this.path.length) { this.drawPolygon(at); return; }
    this.view.draft = brushes && at ? (context, pixel) => this.ring(context, at, pixel) : null;
    if (brushes || this.view.draft !== null) this.state.changed();
  }

  /** @param {CanvasRenderingContext2D} context @param {Point} at @param {number} pixel */
  ring(context, at, pixel) {
    for (const [colour, line] of /** @type {[string, number][]} */ ([["#000a", 3], [this.tool === "eraser" ? "#fff" : this.colour, 1.5]])) {
      context.beginPath();
      context.arc(at.x, at.y, Number(this.state.settings.brush) / 2, 0, 7);
      context.lineWidth = line * pixel;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  /** @param {Point} at @param {boolean} positive */
  click(at, positive) {
    /** @type {[number, number, boolean]} */
    const given = [...rounded(at), positive];
    this.pending.push(given);
    const colour = this.colour;
    this.view.draft = this.shown = (context, pixel) => { for (const [x, y, on] of this.pending) point(context, x, y, on, colour, pixel); };
    this.state.changed();
    this.actions.click([given], null);
  }

  /** @param {[number, number, boolean][]} points */
  answered(points) {
    this.pending = this.pending.filter((item) => !points.includes(item));
    if (!this.pending.length && this.view.draft === this.shown) this.view.draft = null;
    this.state.changed();
  }

  preview() {
    const { path, tool } = this;
    this.view.draft = (context, pixel) => {
      if (tool === "box") {
        const [a, b] = [path[0], path[path.length - 1]];
        context.fillStyle = "#ffffff22";
        context.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
        context.lineWidth = 1.5 * pixel;
        context.strokeStyle = this.colour;
        context.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
      } else {
        context.globalAlpha = 0.55;
        this.trace(context, tool === "eraser" ? "#ffffff" : this.colour);
        context.globalAlpha = 1;
        this.ring(context, path[path.length - 1], pixel);
      }
    };
    this.state.changed();
  }

  /** @param {CanvasRenderingContext2D} context @param {string} colour */
  trace(context, colour) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = Number(this.state.settings.brush);
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(this.path[0].x, this.path[0].y);
    for (const { x, y } of this.path) context.lineTo(x, y);
    if (this.path.length === 1) context.lineTo(this.path[0].x + 0.01, this.path[0].y);
    context.stroke();
  }

  finish() {
    const { path, tool } = this;
    this.view.draft = null;
    if (tool === "box") {
      const [a, b] = [path[0], path[path.length - 1]];
      if (Math.abs(a.x - b.x) > 2 && Math.abs(a.y - b.y) > 2) {
        this.actions.click([], [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)]);
      }
    } else this.rasterise((context) => this.trace(context, "#000"), tool === "brush");
    this.path = [];
    this.state.changed();
  }

  /** @param {(context: CanvasRenderingContext2D) => void} draw @param {boolean} add */
  rasterise(draw, add) {
    const { width, height } = this.state.video;
    const sheet = document.createElement("canvas");
    sheet.width = width;
    sheet.height = height;
    const context = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d", { willReadFrequently: true }));
    draw(context);
    const { counts, area } = runsOfAlpha(context.getImageData(0, 0, width, height));
    if (area) this.actions.stroke(counts, add);
  }

  /** @param {Point} at */
  corner(at) {
    const first = this.path[0];
    const near = (10 * devicePixelRatio) / this.view.scale;
    if (this.path.length > 2 && Math.hypot(at.x - first.x, at.y - first.y) < near) { this.closePolygon(); return; }
    this.path.push(at);
    this.drawPolygon(null);
  }

  /** @param {Point | null} at */
  drawPolygon(at) {
    const corners = at ? [...this.path, at] : [...this.path];
    this.view.draft = (context, pixel) => {
      context.beginPath();
      corners.forEach(({ x, y }, i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.fillStyle = "#ffffff22";
      context.fill();
      context.lineWidth = 2 * pixel;
      context.strokeStyle = this.colour;
      context.stroke();
      for (const { x, y } of this.path) {
        context.beginPath();
        context.arc(x, y, 4 * pixel, 0, 7);
        context.fillStyle = "#fff";
        context.fill();
        context.stroke();
      }
    };
    this.state.changed();
  }

  closePolygon() {
    const corners = this.path;
    const keyframe = this.tool === "keyframe";
    this.cancel();
    if (corners.length < 3) return;
    if (keyframe) { void this.actions.polygon(corners.map(({ x, y }) => [x, y])); return; }
    this.rasterise((context) => {
      context.beginPath();
      for (const { x, y } of corners) context.lineTo(x, y);
      context.fill();
    }, true);
  }

  /** Give up what is being drawn. @returns {boolean} whether there was anything */
  cancel() {
    const busy = this.keyframes.cancel() || this.path.length > 0;
    this.path = [];
    this.doing = null;
    this.view.draft = null;
    this.state.changed();
    return busy;
  }

  // By keyboard: a cross that moves, and Enter in place of the button.

  /** @param {number} dx @param {number} dy in pixels of the video */
  moveCross(dx, dy) {
    const { width, height } = this.state.video;
    const { x, y } = this.state.cursor ?? { x: width / 2, y: height / 2 };
    this.state.cursor = { x: Math.min(Math.max(x + dx, 0), width - 1), y: Math.min(Math.max(y + dy, 0), height - 1) };
    if (this.path.length && this.tool === "box") { this.path = [this.path[0], this.state.cursor]; this.preview(); }
    if (this.path.length && this.hasCorners) this.drawPolygon(this.state.cursor);
    this.keyframes.drag(this.state.cursor);
    this.state.changed();
  }

  useCross() {
    const { frame, cursor: at } = this.state;
    if (this.waits) {
      void this.actions.look([frame]).then(() => { if (this.state.frame === frame && !this.waits) this.useCross(); });
      return;
    }
    if (!at && this.hasCorners && this.path.length) { this.closePolygon(); return; }
    if (!at && this.keyframes.adopt()) return;
    if (!at) { this.moveCross(0, 0); return; }
    if (this.tool === "click" || this.tool === "minus") this.click(at, this.tool === "click");
    else if (this.keyframes.held) this.keyframes.drop();
    else if (this.tool === "keyframe" && !this.path.length && this.keyframes.grab(at, false)) return;
    else if (this.hasCorners) {
      const last = this.path[this.path.length - 1];
      if (last && last.x === at.x && last.y === at.y) this.closePolygon();
      else this.corner({ ...at });
    } else if (this.tool === "box") {
      if (this.path.length) { this.path.push({ ...at }); this.finish(); }
      else { this.path = [{ ...at }]; this.preview(); }
    } else if (this.tool !== "hand") { this.path = [{ ...at }]; this.finish(); }
  }
}
