// Tools: which one a pointer, or the cross that the keyboard moves, uses; and moving the image.

import { clicks } from "./clicks.js";
import { make, notice } from "./dom.js";
import { until } from "./edits.js";
import { masks } from "./masks.js";
import { distance } from "./places.js";
import { pinsOn } from "./people.js";
import { hold } from "./playback.js";
import { polygon } from "./polygon.js";
import { shapes } from "./shape.js";
import { IMAGE, state } from "./state.js";
import { strokes } from "./strokes.js";
import { view } from "./view.js";

/**
 * @typedef {import("./places.js").Point} Point
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
    hint: "Click on the object. Right-click or Alt-click areas outside it. Clicking another object selects it; hold Shift to click inside it instead.",
  },
  {
    id: "minus",
    key: "x",
    icon: "minus",
    label: "Exclude",
    name: "Exclude: click on areas outside the object",
    hint: "Click on areas that do not belong to the object.",
  },
  { id: "box", key: "r", icon: "box", label: "Box", name: "Box", hint: "Draw a box around the object." },
  {
    id: "scribble",
    key: "shift+I",
    icon: "scribble",
    label: "Scribble",
    name: "Scribble: draw a line along the object",
    hint: "Draw a line over all parts of the object. On a mask, draw it over the missing parts.",
  },
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
    hint: "Erase areas that do not belong to the object. [ and ] change the size.",
  },
  {
    id: "polygon",
    key: "p",
    icon: "polygon",
    label: "Polygon",
    name: "Polygon",
    hint: "Click the corners; the first corner or Enter closes the polygon. Escape cancels. Drag a corner of the mask to move it.",
  },
  {
    id: "shape",
    key: ";",
    icon: "shape",
    label: "Shape",
    name: "Shape: corners that move from key to key",
    hint: "Click the corners; the first corner or Enter closes the shape. Drag to set a key. Right-click removes a corner; double-click rounds or adds one.",
  },
  {
    id: "hand",
    key: "v",
    icon: "hand",
    label: "Move",
    name: "Move the image",
    hint: "Drag to move the image, turn the wheel to zoom, click on an object to select it.",
  },
];

/** pointers of the tools that do not take the cross; a brush shows its disk @type {Record<string, string>} */
const CURSORS = { hand: "grab", brush: "none", eraser: "none" };

class Tools {
  constructor() {
    /** @type {Map<number, Point>} */
    this.pointers = new Map();
    /** @type {"pan" | "draw" | "split" | "corner" | "shape" | null} */
    this.doing = null;
    /** where the image was taken hold of, until it is moved @type {Point | null} */
    this.held = null;
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => this.down(event));
    canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.move(event));
    canvas.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => this.up(event));
    canvas.addEventListener("pointercancel", (/** @type {PointerEvent} */ event) => this.up(event));
    canvas.addEventListener("pointerleave", () => {
      view.pointer = null;
      this.name(null);
      this.hover(null);
    });
    canvas.addEventListener("contextmenu", (/** @type {MouseEvent} */ event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => {
      if (state.usedTool === "polygon") polygon.close();
    });
    canvas.addEventListener("dblclick", (/** @type {MouseEvent} */ event) => {
      if (state.usedTool === "shape") shapes.doubleClick(view.videoPoint(event));
    });
    canvas.addEventListener("wheel", (/** @type {WheelEvent} */ event) => this.wheel(event), { passive: false });
    let selected = state.object;
    state.listen(() => {
      const before = selected;
      selected = state.object;
      // Another object is selected then, which nobody has drawn on.
      const isRemoved = before !== null && !state.objects.some(({ id }) => id === before);
      if (isRemoved && this.giveUp()) notice("The object that you drew on was removed. Nothing was changed.");
    });
  }

  use(/** @type {string} */ id) {
    this.cancel();
    state.tool = id;
    state.changed();
  }

  wheel(/** @type {WheelEvent} */ event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    view.zoom(Math.exp(-Math.max(-120, Math.min(120, lines)) / 300), view.place(event));
  }

  down(/** @type {PointerEvent} */ event) {
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
    else if (event.button === 1 || state.usedTool === "hand") {
      this.doing = "pan";
      this.held = event.button === 0 ? view.place(event) : null;
    } else if (event.button === 0 || event.button === 2)
      this.press(at, event.button === 2 || event.altKey, event.shiftKey);
  }

  press(/** @type {Point} */ at, /** @type {boolean} */ opposite, anyway = false) {
    hold();
    clicks.stopResting();
    if (state.usedTool === "click" || state.usedTool === "minus") clicks.press(at, opposite, anyway);
    else if (state.usedTool === "polygon") {
      if (polygon.press(at, opposite)) this.doing = "corner";
    } else if (state.usedTool === "shape") {
      if (shapes.press(at, opposite)) this.doing = "shape";
    } else if (!opposite) {
      this.doing = "draw";
      strokes.begin(at);
    }
  }

  move(/** @type {PointerEvent} */ event) {
    const before = this.pointers.get(event.pointerId);
    const now = view.place(event);
    if (before) this.pointers.set(event.pointerId, now);
    const at = view.videoPoint(event);
    view.pointer = at;
    if (state.settings.labels || pinsOn(state.comments, state.frame).length) state.changed(IMAGE);
    if (this.held && distance(this.held, now) > 4 * devicePixelRatio) this.held = null;
    this.name(before ? null : at);
    if (before && this.doing === "pan") this.panOrPinch(event.pointerId, before, now);
    else if (before && this.doing === "corner") polygon.moveCorner(at);
    else if (before && this.doing === "shape") shapes.drag(at);
    else if (before && this.doing === "split") this.moveSplit(at);
    else if (before && this.doing === "draw") strokes.go(at);
    else this.hover(at, event.shiftKey);
  }

  panOrPinch(/** @type {number} */ id, /** @type {Point} */ before, /** @type {Point} */ now) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    const share = other ? 2 : 1;
    if (other)
      view.zoom(distance(now, other) / Math.max(distance(before, other), 1), {
        x: (now.x + other.x) / 2,
        y: (now.y + other.y) / 2,
      });
    view.pan((now.x - before.x) / share, (now.y - before.y) / share);
  }

  up(/** @type {PointerEvent} */ event) {
    this.pointers.delete(event.pointerId);
    if (this.doing === "draw") strokes.finish();
    if (this.doing === "corner") polygon.release();
    if (this.doing === "shape") shapes.release();
    if (this.held) this.chooseAt(view.videoPoint(event));
    this.held = null;
    if (this.pointers.size === 0) this.doing = null;
  }

  chooseAt(/** @type {Point} */ at) {
    const item = masks.objectAt(at);
    if (item) state.choose(item.id);
  }

  /** Show the name of the object under the pointer. */
  name(/** @type {Point | null} */ at) {
    const item = at && state.mode !== "compare" ? masks.objectAt(at) : undefined;
    if (!item && !view.named) return;
    view.named = at && item ? { ...at, id: item.id, name: item.name } : null;
    state.changed(IMAGE);
  }

  nearSplit(/** @type {Point} */ at) {
    return Math.abs(at.x - state.split * state.video.width) * view.scale < 24 * devicePixelRatio;
  }

  moveSplit(/** @type {Point} */ at) {
    state.split = Math.min(Math.max(at.x / state.video.width, 0), 1);
    state.changed(IMAGE);
  }

  hover(/** @type {Point | null} */ at, anyway = false) {
    const { canvas } = view;
    canvas.style.cursor = CURSORS[state.usedTool] ?? "crosshair";
    if (state.mode === "compare" && at && state.compare === "slider" && this.nearSplit(at))
      canvas.style.cursor = "ew-resize";
    clicks.rest(at, anyway);
    if (state.usedTool === "polygon" && polygon.path.length) polygon.draw(at);
    else if (state.usedTool === "shape" && shapes.path.length) shapes.draw(at);
    else strokes.hover(at);
  }

  /** Cancel drawing. */
  cancel() {
    const busy = [strokes.cancel(), polygon.cancel(), shapes.cancel()].includes(true);
    this.doing = null;
    view.draft = view.brush = null;
    state.changed(IMAGE);
    return busy;
  }

  /** Cancel drawing; a polygon of several corners can be continued. */
  giveUp() {
    const [tool, name] = shapes.path.length ? [shapes, "shape"] : [polygon, "polygon"];
    const corners = tool.path;
    const busy = this.cancel();
    if (corners.length > 1) {
      const again = make("button", {
        textContent: "Continue",
        onclick: () => {
          this.use(name);
          tool.resume(corners);
        },
      });
      until(notice(`The ${name} was cancelled.`, "", [again]), () => tool.path.length > 0);
    }
    return busy;
  }

  // By keyboard: a cross that moves, and Enter in place of the button.

  moveCross(/** @type {number} */ dx, /** @type {number} */ dy) {
    const { width, height } = state.video;
    const { x, y } = state.cursor ?? { x: width / 2, y: height / 2 };
    state.cursor = { x: Math.min(Math.max(x + dx, 0), width - 1), y: Math.min(Math.max(y + dy, 0), height - 1) };
    if (strokes.path.length && strokes.fromTo) {
      strokes.path = [strokes.path[0], state.cursor];
      strokes.preview();
    }
    if (polygon.path.length) polygon.draw(state.cursor);
    if (shapes.path.length) shapes.draw(state.cursor);
    if (shapes.grabbed && this.doing !== "shape") shapes.drag(state.cursor);
    state.changed(IMAGE);
  }

  /** Use the tool where the cross is. */
  useCross() {
    const at = state.cursor;
    if (!at) {
      if (state.usedTool === "polygon" && polygon.path.length) polygon.close();
      else if (state.usedTool === "shape" && shapes.path.length) shapes.close();
      else this.moveCross(0, 0);
      return;
    }
    if (state.usedTool === "click" || state.usedTool === "minus") clicks.click(at, state.tool === "click");
    else if (state.usedTool === "polygon") polygon.useAt(at);
    else if (state.usedTool === "shape") shapes.useAt(at);
    else if (state.usedTool === "hand") this.chooseAt(at);
    else strokes.useAt(at);
  }
}

export const tools = new Tools();
