// Tools: what a pointer, or the cross that the keyboard moves, does to the image.

import { make, notice } from "./dom.js";
import { click, outlineCandidates, reshape, rest, stroke } from "./edits.js";
import { request } from "./link.js";
import { along, disk, outline, point } from "./paint.js";
import { hold } from "./playback.js";
import { state } from "./state.js";
import { view } from "./view.js";

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{id: string, key: string, icon: string, label: string, name: string, hint: string}} ToolInfo
 */

/** @type {ToolInfo[]} */
export const TOOLS = [
  {
    id: "click",
    key: "c",
    icon: "click",
    label: "Include",
    name: "Include: click on the object",
    hint: "Click on the object; right click, or hold Alt, on what does not belong to it. A click on another object chooses that one; hold Shift to click there all the same.",
  },
  {
    id: "minus",
    key: "x",
    icon: "minus",
    label: "Exclude",
    name: "Exclude: click on what does not belong to the object",
    hint: "Click on what does not belong to the object.",
  },
  { id: "box", key: "r", icon: "box", label: "Box", name: "Box", hint: "Draw a box around the object." },
  {
    id: "brush",
    key: "b",
    icon: "brush",
    label: "Brush",
    name: "Brush",
    hint: "Paint the object. [ and ] change the size.",
  },
  {
    id: "eraser",
    key: "e",
    icon: "eraser",
    label: "Eraser",
    name: "Eraser",
    hint: "Erase what does not belong to the object. [ and ] change the size.",
  },
  {
    id: "polygon",
    key: "p",
    icon: "polygon",
    label: "Polygon",
    name: "Polygon",
    hint: "Click corner after corner; click the first one again, or press Enter, to close. Escape gives up, which can be taken back. Drag a corner of the mask to move it.",
  },
  {
    id: "hand",
    key: "v",
    icon: "hand",
    label: "Move",
    name: "Move the image",
    hint: "Drag to move, turn the wheel to zoom, click on an object to choose it.",
  },
];

/** milliseconds that the pointer rests before the mask of a click there is computed */
const REST = 60;
/** and before the other masks of a click are outlined */
const REST_LONG = 500;

/** A place as clicks have it. */
const rounded = (at) => [Math.round(at.x * 10) / 10, Math.round(at.y * 10) / 10];

const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);

/** pointers of the tools that do not take the cross; a brush shows its disk */
const CURSORS = { hand: "grab", brush: "none", eraser: "none" };

/** The corners of a box between two places. */
const boxOf = (a, b) => [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];

class Tools {
  constructor() {
    /** @type {Map<number, Point>} */
    this.pointers = new Map();
    /** @type {"pan" | "draw" | "split" | "corner" | null} */
    this.doing = null;
    /** @type {Point[]} */
    this.path = [];
    /** points that the server has not answered yet */
    this.pending = [];
    /** what draws these points @type {((context: CanvasRenderingContext2D, pixel: number) => void) | null} */
    this.shown = null;
    /**
     * outlines of the chosen object's mask, while the polygon is the tool
     * @type {{counts: string, polygons: {points: number[][], hole: boolean}[]}}
     */
    this.outline = { counts: "", polygons: [] };
    /** the corner that is moved @type {{points: number[][], before: number[][], hole: boolean, at: number} | null} */
    this.grabbed = null;
    /** where the image was taken hold of, until it is moved @type {Point | null} */
    this.held = null;
    /** the timer of a pointer that rests */
    this.resting = this.restingLong = 0;
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => {
      view.pointer = null;
      this.name(null);
      this.hover(null);
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => {
      if (this.tool === "polygon") this.closePolygon();
    });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    state.listeners.add(() => this.followOutline());
  }

  /** Have the corners of the chosen object's mask shown while the polygon is the tool. */
  followOutline() {
    const counts =
      this.tool === "polygon" && !this.path.length && state.editable && state.object !== null
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
          view.corners = polygons.flatMap(({ points }) => points);
          state.changed();
        });
  }

  /** Take hold of the corner of an outline at a place, if there is one. */
  grab(at) {
    const near = (8 * devicePixelRatio) / view.scale;
    for (const { points, hole } of this.outline.polygons) {
      const place = points.findIndex(([x, y]) => Math.hypot(x - at.x, y - at.y) < near);
      if (place >= 0) return { points, before: points.map((corner) => [...corner]), hole, at: place };
    }
    return null;
  }

  /** Move the corner that is held; the corners that are shown are the same arrays. */
  moveCorner({ x, y }) {
    const { grabbed } = this;
    if (!grabbed) return;
    [grabbed.points[grabbed.at][0], grabbed.points[grabbed.at][1]] = rounded({ x, y });
    view.draft = (context, pixel) => {
      along(context, grabbed.points);
      context.closePath();
      outline(context, pixel, this.colour);
    };
    state.changed();
  }

  use(id) {
    this.cancel();
    state.tool = id;
    state.changed();
  }

  get tool() {
    return state.mode === "annotate" ? state.tool : "hand";
  }

  get colour() {
    return state.chosenObject?.colour ?? "#ffffff";
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    view.zoom(Math.exp(-Math.max(-120, Math.min(120, lines)) / 300), view.place(event));
  }

  down(event) {
    view.canvas.setPointerCapture(event.pointerId);
    view.canvas.focus({ preventScroll: true });
    state.cursor = null;
    this.pointers.set(event.pointerId, view.place(event));
    if (this.pointers.size > 1) {
      this.cancel();
      this.doing = "pan";
      return;
    }
    const at = view.videoPoint(event);
    if (state.mode === "compare" && state.compare === "slider" && event.button === 0 && this.nearSplit(at))
      this.doing = "split";
    else if (event.button === 1 || this.tool === "hand") {
      this.doing = "pan";
      this.held = event.button === 0 ? view.place(event) : null;
    } else if (event.button === 0 || event.button === 2)
      this.press(at, event.button === 2 || event.altKey, event.shiftKey);
  }

  press(at, opposite, anyway = false) {
    hold();
    clearTimeout(this.resting);
    if (this.tool === "click" || this.tool === "minus") {
      const include = (this.tool === "click") !== opposite;
      const other = include && !anyway ? this.otherAt(at) : undefined;
      if (other) state.choose(other.id);
      else if (this.isInside(at)) this.click(at, include);
    } else if (this.tool === "polygon") {
      this.grabbed = this.path.length || opposite ? null : this.grab(at);
      if (this.grabbed) this.doing = "corner";
      else if (!opposite) this.corner(at);
    } else if (!opposite) {
      this.doing = "draw";
      this.path = [at];
      this.preview();
    }
  }

  /** The object that a click at a place chooses, where the click is no prompt. */
  otherAt(at) {
    const item = this.tool === "click" && !state.target.fresh ? view.objectAt(at) : undefined;
    return item?.id === state.object ? undefined : item;
  }

  isInside(at) {
    return at.x >= 0 && at.y >= 0 && at.x < state.video.width && at.y < state.video.height;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    const now = view.place(event);
    if (before) this.pointers.set(event.pointerId, now);
    const at = view.videoPoint(event);
    view.pointer = at;
    if (state.settings.labels) state.changed();
    if (this.held && distance(this.held, now) > 4 * devicePixelRatio) this.held = null;
    this.name(before ? null : at);
    if (before && this.doing === "pan") this.panOrPinch(event.pointerId, before, now);
    else if (before && this.doing === "corner") this.moveCorner(at);
    else if (before && this.doing === "split") this.moveSplit(at);
    else if (before && this.doing === "draw") {
      this.path.push(at);
      this.preview();
    } else this.hover(at, event.shiftKey);
  }

  panOrPinch(id, before, now) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    const share = other ? 2 : 1;
    if (other)
      view.zoom(distance(now, other) / Math.max(distance(before, other), 1), {
        x: (now.x + other.x) / 2,
        y: (now.y + other.y) / 2,
      });
    view.pan((now.x - before.x) / share, (now.y - before.y) / share);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    if (this.doing === "draw") this.finish();
    if (this.doing === "corner" && this.grabbed) {
      const { points, before, hole } = this.grabbed;
      this.grabbed = view.draft = null;
      if (points.some(([x, y], i) => x !== before[i][0] || y !== before[i][1])) reshape(before, points, hole);
    }
    if (this.held) this.chooseAt(view.videoPoint(event));
    this.held = null;
    if (this.pointers.size === 0) this.doing = null;
  }

  chooseAt(at) {
    const item = view.objectAt(at);
    if (item) state.choose(item.id);
  }

  /** Show the name of the object under the pointer. */
  name(at) {
    const item = at && state.mode !== "compare" ? view.objectAt(at) : undefined;
    if (!item && !view.named) return;
    view.named = item ? { ...at, id: item.id, name: item.name } : null;
    state.changed();
  }

  nearSplit(at) {
    return Math.abs(at.x - state.split * state.video.width) * view.scale < 24 * devicePixelRatio;
  }

  moveSplit(at) {
    state.split = Math.min(Math.max(at.x / state.video.width, 0), 1);
    state.changed();
  }

  hover(at, anyway = false) {
    const { canvas } = view;
    const brushes = this.tool === "brush" || this.tool === "eraser";
    canvas.style.cursor = CURSORS[this.tool] ?? "crosshair";
    if (state.mode === "compare" && at && state.compare === "slider" && this.nearSplit(at))
      canvas.style.cursor = "ew-resize";
    clearTimeout(this.resting);
    if (at && this.tool === "click" && this.isInside(at) && (anyway || !this.otherAt(at)))
      this.resting = setTimeout(() => rest(rounded(at)), REST);
    clearTimeout(this.restingLong);
    if (at && this.tool === "click" && this.isInside(at))
      this.restingLong = setTimeout(() => void outlineCandidates(), REST_LONG);
    if (this.tool === "polygon" && this.path.length) {
      this.drawPolygon(at);
      return;
    }
    view.draft = brushes && at ? (context, pixel) => this.ring(context, at, pixel) : null;
    view.brush = brushes && at ? { ...at, radius: Number(state.settings.brush) / 2 } : null;
    if (brushes || view.draft !== null) state.changed();
  }

  ring(context, at, pixel) {
    context.beginPath();
    context.arc(at.x, at.y, Number(state.settings.brush) / 2, 0, 7);
    outline(context, pixel, this.tool === "eraser" ? "#fff" : this.colour);
  }

  click(at, positive) {
    const given = [...rounded(at), positive];
    this.pending.push(given);
    const colour = this.colour;
    view.draft = this.shown = (context, pixel) => {
      for (const [x, y, on] of this.pending) point(context, x, y, on, colour, pixel);
    };
    state.changed();
    void click([given], null).finally(() => this.answered(given));
  }

  answered(given) {
    this.pending = this.pending.filter((item) => item !== given);
    if (!this.pending.length && view.draft === this.shown) view.draft = null;
    state.changed();
  }

  preview() {
    const { path, tool } = this;
    if (tool !== "box") view.brush = { ...path[path.length - 1], radius: Number(state.settings.brush) / 2 };
    view.draft = (context, pixel) => {
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
    state.changed();
  }

  trace(context, colour) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = Number(state.settings.brush);
    context.strokeStyle = colour;
    along(
      context,
      this.path.map(({ x, y }) => [x, y]),
    );
    if (this.path.length === 1) context.lineTo(this.path[0].x + 0.01, this.path[0].y);
    context.stroke();
  }

  finish() {
    const { path, tool } = this;
    view.draft = null;
    if (tool === "box") {
      const box = boxOf(path[0], path[path.length - 1]);
      if (box[2] - box[0] > 2 && box[3] - box[1] > 2) void click([], box);
    } else stroke(path.map(rounded), Number(state.settings.brush), tool === "brush");
    this.path = [];
    state.changed();
  }

  corner(at) {
    const first = this.path[0];
    const near = (10 * devicePixelRatio) / view.scale;
    if (this.path.length > 2 && distance(at, first) < near) {
      this.closePolygon();
      return;
    }
    this.path.push(at);
    this.drawPolygon(null);
  }

  drawPolygon(at) {
    const corners = at ? [...this.path, at] : [...this.path];
    view.draft = (context, pixel) => {
      along(
        context,
        corners.map(({ x, y }) => [x, y]),
      );
      context.fillStyle = "#ffffff22";
      context.fill();
      context.lineWidth = 2 * pixel;
      context.strokeStyle = this.colour;
      context.stroke();
      for (const { x, y } of this.path) disk(context, x, y, 4 * pixel, "#fff");
    };
    state.changed();
  }

  closePolygon() {
    const corners = this.path;
    this.cancel();
    if (corners.length > 2) stroke(corners.map(rounded), null, true);
  }

  /** Give up what is being drawn. */
  cancel() {
    let busy = this.path.length > 0;
    this.path = [];
    if (this.grabbed) {
      Object.assign(this, { grabbed: null, outline: { counts: "", polygons: [] } }); // asked for anew, as it was
      busy = true;
    }
    this.doing = null;
    view.draft = view.brush = null;
    state.changed();
    return busy;
  }

  /** Give up what is being drawn; a polygon of several corners can be gone on with. */
  giveUp() {
    const corners = this.tool === "polygon" ? this.path : [];
    const busy = this.cancel();
    if (corners.length > 1) {
      const again = make("button", {
        textContent: "Draw on",
        onclick: () => {
          box.remove();
          this.use("polygon");
          this.path = corners;
          this.drawPolygon(null);
        },
      });
      const box = notice("The polygon was given up.", "", [again]);
    }
    return busy;
  }

  // By keyboard: a cross that moves, and Enter in place of the button.

  moveCross(dx, dy) {
    const { width, height } = state.video;
    const { x, y } = state.cursor ?? { x: width / 2, y: height / 2 };
    state.cursor = { x: Math.min(Math.max(x + dx, 0), width - 1), y: Math.min(Math.max(y + dy, 0), height - 1) };
    if (this.path.length && this.tool === "box") {
      this.path = [this.path[0], state.cursor];
      this.preview();
    }
    if (this.path.length && this.tool === "polygon") this.drawPolygon(state.cursor);
    state.changed();
  }

  /** Use the tool where the cross is. */
  useCross() {
    const at = state.cursor;
    if (!at && this.tool === "polygon" && this.path.length) {
      this.closePolygon();
      return;
    }
    if (!at) {
      this.moveCross(0, 0);
      return;
    }
    if (this.tool === "click" || this.tool === "minus") this.click(at, this.tool === "click");
    else if (this.tool === "polygon") {
      const last = this.path[this.path.length - 1];
      if (last && last.x === at.x && last.y === at.y) this.closePolygon();
      else this.corner({ ...at });
    } else if (this.tool === "box") {
      if (this.path.length) {
        this.path.push({ ...at });
        this.finish();
      } else {
        this.path = [{ ...at }];
        this.preview();
      }
    } else if (this.tool === "hand") this.chooseAt(at);
    else {
      this.path = [{ ...at }];
      this.finish();
    }
  }
}

export const tools = new Tools();
