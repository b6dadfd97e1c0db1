// The picture: frame, masks, prompts and cross on one canvas, with zoom and pan.

import { painted, paintedMask, rgb, rimOf } from "./paint.js";
import { fillLabels } from "./runs.js";

const KEPT_FRAMES = 64;
/** pictures of masks that are kept, in pixels of so many frames */
const KEPT_MASKS = 24;

export class View {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./state.js").State} state
   * @param {(frames: number[]) => Promise<void>} look asks the server for masks
   */
  constructor(canvas, state, look) {
    this.canvas = canvas;
    this.state = state;
    this.look = look;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.scale = 1;
    this.offset = { x: 0, y: 0 };
    this.fitted = true;
    /** @type {Map<number, ImageBitmap>} */
    this.bitmaps = new Map();
    /** @type {Map<number, Promise<void>>} */
    this.loading = new Map();
    /** @type {Map<string, {picture: HTMLCanvasElement, x: number, y: number}>} */
    this.masks = new Map();
    /** pixels of these pictures */
    this.painted = 0;
    /** the last comparison that was painted */
    this.compared = { key: "", picture: /** @type {HTMLCanvasElement | null} */ (null) };
    /** what a tool draws over everything, in pixels of the video @type {((context: CanvasRenderingContext2D, scale: number) => void) | null} */
    this.draft = null;
    /** what can be moved, over the masks @type {((context: CanvasRenderingContext2D, scale: number) => void) | null} */
    this.handles = null;
    /** @type {ImageBitmap | null} */
    this.shown = null;
    /** @type {(message: string) => void} */
    this.onError = () => undefined;
    new ResizeObserver(() => this.resize(false)).observe(canvas);
    addEventListener("resize", () => this.resize(true));
    state.subscribe(() => this.draw());
  }

  /**
   * Take the size of the canvas. Only a window of another size fits the picture anew: where panels change, it
   * stays where it is.
   * @param {boolean} window
   */
  resize(window) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio;
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    if (window && this.fitted) this.fit();
    this.draw();
  }

  /** how many pictures stand side by side, with the same place and zoom */
  get panes() {
    const { state } = this;
    return (state.mode === "compare" && state.compare === "both") || (state.mode === "annotate" && state.beside) ? 2 : 1;
  }

  /** what the pictures that stand side by side are, from the left @returns {string[]} */
  get paneNames() {
    const { state } = this;
    if (state.mode === "compare") return state.names;
    const before = state.before?.frame === state.frame ? state.before : null;
    return [before?.label ? `before: ${before.label}` : "before: no mask", "now"];
  }

  get paneWidth() {
    return this.canvas.width / this.panes;
  }

  /** Show one picture or two; what is in the middle stays there. @param {() => void} change */
  arrange(change) {
    const before = this.paneWidth;
    change();
    if (this.fitted) this.fit();
    else this.offset.x += (this.paneWidth - before) / 2;
    this.state.changed();
  }

  fit() {
    const { width, height } = this.state.video;
    const margin = 20 * devicePixelRatio;
    this.scale = Math.min((this.paneWidth - 2 * margin) / width, (this.canvas.height - 2 * margin) / height);
    this.scale = Math.max(this.scale, 0.01);
    this.offset = { x: (this.paneWidth - width * this.scale) / 2, y: (this.canvas.height - height * this.scale) / 2 };
    this.fitted = true;
  }

  /** @param {number} factor @param {{x: number, y: number}} at in device pixels */
  zoom(factor, at = { x: this.paneWidth / 2, y: this.canvas.height / 2 }) {
    const scale = Math.min(Math.max(this.scale * factor, 0.02), 64);
    const x = this.inPane(at.x);
    this.offset.x = x - ((x - this.offset.x) * scale) / this.scale;
    this.offset.y = at.y - ((at.y - this.offset.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.state.changed();
  }

  /** @param {number} dx @param {number} dy in device pixels */
  pan(dx, dy) {
    this.offset.x += dx;
    this.offset.y += dy;
    this.fitted = false;
    this.state.changed();
  }

  /** @param {PointerEvent | WheelEvent | MouseEvent} event @returns {{x: number, y: number}} device pixels */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * devicePixelRatio, y: (event.clientY - box.top) * devicePixelRatio };
  }

  /** @param {PointerEvent | MouseEvent} event @returns {{x: number, y: number}} pixels of the video */
  videoPoint(event) {
    const { x, y } = this.place(event);
    return { x: (this.inPane(x) - this.offset.x) / this.scale, y: (y - this.offset.y) / this.scale };
  }

  /** A place from the left of its pane on. @param {number} x in device pixels */
  inPane(x) {
    return x - Math.min(this.panes - 1, Math.max(0, Math.floor(x / this.paneWidth))) * this.paneWidth;
  }

  /** Whether frame and masks of the moment are on the screen. */
  get ready() {
    return this.bitmaps.has(this.state.frame) && this.state.looks.has(this.state.frame);
  }

  /**
   * Load what is needed around the current frame.
   * @param {boolean} quick show the key frame before it meanwhile
   * @param {number} ahead frames to load in advance
   */
  async load(quick, ahead) {
    const { frame, video } = this.state;
    const wanted = [frame];
    for (let n = 1; n <= ahead; n++) wanted.push(frame + n);
    const frames = wanted.filter((index) => index < video.frames);
    const missing = frames.filter((index) => !this.state.looks.has(index));
    if (missing.length) void this.look(missing);
    if (quick && !this.bitmaps.has(frame)) void this.fetchFrame(frame, true);
    for (const index of frames) {
      if (!this.bitmaps.has(index)) await this.fetchFrame(index, false);
      if (this.state.frame !== frame && !this.state.playing) return;
    }
  }

  /** @param {number} index @param {boolean} near @returns {Promise<void>} */
  fetchFrame(index, near) {
    const key = near ? -1 - index : index;
    const running = this.loading.get(key);
    if (running) return running;
    const exact = this.state.video.exact;
    /** @type {Promise<void>} */
    let work = Promise.resolve();
    work = (async () => {
      try {
        const answer = await fetch(`frame/${index}.jpg?exact=${exact}${near ? "&near=true" : ""}`);
        if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `frame ${index} cannot be read`);
        const bitmap = await createImageBitmap(await answer.blob());
        if (exact !== this.state.video.exact) return;  // it may be another frame than that of the number now
        if (near) {
          if (this.state.frame === index && !this.bitmaps.has(index)) this.shown = bitmap;
        } else {
          this.bitmaps.set(index, bitmap);
          this.forget();
        }
        this.state.changed();
      } catch (error) {
        if (!near && this.state.online) this.onError(String(error instanceof Error ? error.message : error));
      } finally {
        if (this.loading.get(key) === work) this.loading.delete(key);
      }
    })();
    this.loading.set(key, work);
    return work;
  }

  forget() {
    const pixels = this.state.video.width * this.state.video.height;
    const most = Math.max(6, Math.min(KEPT_FRAMES, Math.round(120e6 / pixels)));
    for (const index of this.bitmaps.keys()) {
      if (this.bitmaps.size <= most) return;
      if (index !== this.state.frame) {
        this.bitmaps.get(index)?.close();
        this.bitmaps.delete(index);
      }
    }
  }

  /** Forget all pictures, as when the video's index has become exact. */
  reset() {
    this.bitmaps.clear();
    this.loading.clear();
    this.masks.clear();
    this.painted = 0;
    this.compared.key = "";
  }

  draw() {
    const { context, canvas, state } = this;
    if (state.mode === "loading") return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const bitmap = this.bitmaps.get(state.frame);
    if (bitmap) this.shown = bitmap;
    for (let pane = 0; pane < this.panes; pane++) {
      context.save();
      context.beginPath();
      context.rect(pane * this.paneWidth, 0, this.paneWidth, canvas.height);
      context.clip();
      context.setTransform(this.scale, 0, 0, this.scale, this.offset.x + pane * this.paneWidth, this.offset.y);
      this.drawPane(pane);
      if (this.panes > 1) {
        context.setTransform(1, 0, 0, 1, pane * this.paneWidth, 0);
        this.drawName(this.paneNames[pane], 12 * devicePixelRatio, 18 * devicePixelRatio, "left", devicePixelRatio);
      }
      context.restore();
    }
    if (this.panes > 1) {
      context.fillStyle = "#fff8";
      context.fillRect(this.paneWidth - 1, 0, 2, canvas.height);
    }
  }

  /** @param {number} pane its number, from the left */
  drawPane(pane) {
    const { context, state } = this;
    const { width, height } = state.video;
    context.imageSmoothingEnabled = this.scale < 3 * devicePixelRatio;
    if (this.shown) context.drawImage(this.shown, 0, 0, width, height);
    else { context.fillStyle = "#0003"; context.fillRect(0, 0, width, height); }
    const look = state.look;
    if (look && !state.settings.hidden) this.drawMasks(look, pane);
    const pixel = devicePixelRatio / this.scale;
    if (state.mode === "annotate" && pane === this.panes - 1) {
      this.drawFound();
      if (look) this.drawPrompts(look, pixel);
      if (this.handles) this.handles(context, pixel);
    }
    if (this.draft) this.draft(context, pixel);
    if (state.cursor) this.drawCross(pixel);
  }

  /** @param {import("./state.js").Look} look @param {number} pane */
  drawMasks(look, pane) {
    const { context, state } = this;
    const { width, height } = state.video;
    if (state.mode !== "compare") {
      const { before } = state;
      if (pane === this.panes - 1) this.drawOverlay(look.masks);
      else if (before?.frame === look.frame) this.drawOverlay(before.masks);
      return;
    }
    const first = () => this.drawOverlay(look.masks);
    const second = () => this.drawOverlay(look.other ?? {});
    const side = state.compare === "both" ? ["first", "second"][pane] : state.compare;
    if (side === "first") first();
    else if (side === "second") second();
    else if (side === "difference") context.drawImage(this.difference(look), 0, 0, width, height);
    else {
      const x = state.split * width;
      for (const [drawSide, left, right] of /** @type {[() => void, number, number][]} */ ([[first, 0, x], [second, x, width]])) {
        context.save();
        context.beginPath();
        context.rect(left, 0, right - left, height);
        context.clip();
        drawSide();
        context.restore();
      }
      const pixel = devicePixelRatio / this.scale;
      context.fillStyle = "#fff";
      context.fillRect(x - pixel, 0, 2 * pixel, height);
      context.beginPath();
      context.arc(x, height / 2, 11 * pixel, 0, 7);
      context.fill();
      context.fillStyle = "#222";
      context.font = `${12 * pixel}px system-ui`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText("⟷", x, height / 2);
      this.drawName(state.names[0], x - 16 * pixel, 16 * pixel, "right", pixel);
      this.drawName(state.names[1], x + 16 * pixel, 16 * pixel, "left", pixel);
    }
  }

  /** @param {string} text @param {number} x @param {number} y @param {CanvasTextAlign} align @param {number} pixel */
  drawName(text, x, y, align, pixel) {
    const { context } = this;
    context.font = `600 ${12 * pixel}px system-ui`;
    context.textBaseline = "middle";
    context.textAlign = align;
    context.lineWidth = 3 * pixel;
    context.strokeStyle = "#000b";
    context.strokeText(text, x, y);
    context.fillStyle = "#fff";
    context.fillText(text, x, y);
  }

  /** Draw the masks of a frame; later objects lie on top. @param {Record<string, string>} masks */
  drawOverlay(masks) {
    const { context, state } = this;
    for (const { id, visible, colour } of state.objects) {
      if (!visible || !masks[id]) continue;
      context.globalAlpha = state.object === null || id === state.object ? 1 : 0.75;
      this.drawMask(masks[id], colour, Number(state.settings.opacity));
    }
    context.globalAlpha = 1;
  }

  /** Draw a mask, which is painted once. @param {string} counts @param {string} colour @param {number} alpha */
  drawMask(counts, colour, alpha) {
    const { width, height } = this.state.video;
    const key = `${colour}.${alpha}.${counts}`;
    let mask = this.masks.get(key);
    if (!mask) {
      this.masks.set(key, (mask = paintedMask(counts, height, rimOf(width, height), colour, alpha)));
      this.painted += mask.picture.width * mask.picture.height;
      for (const [old, { picture }] of this.masks) {
        if (old === key || this.painted <= KEPT_MASKS * width * height) break;
        this.masks.delete(old);
        this.painted -= picture.width * picture.height;
      }
    }
    this.context.drawImage(mask.picture, mask.x, mask.y);
  }

  /**
   * Hits, misses and false alarms; the second result is the truth.
   * @param {import("./state.js").Look} look
   */
  difference(look) {
    const { width, height } = this.state.video;
    const visible = this.state.objects.filter((item) => item.visible);
    const key = ["d", look.frame, ...visible.map((item) => item.id)].join();
    if (this.compared.picture && this.compared.key === key) return this.compared.picture;
    const one = new Uint16Array(width * height);
    const two = new Uint16Array(width * height);
    for (const { id } of visible) {
      if (look.masks[id]) fillLabels(one, look.masks[id], id, width, height);
      if (look.other?.[id]) fillLabels(two, look.other[id], id, width, height);
    }
    const labels = new Uint16Array(width * height);
    for (let i = 0; i < labels.length; i++) labels[i] = one[i] && one[i] === two[i] ? 1 : two[i] ? 2 : one[i] ? 3 : 0;
    const colours = DIFFERENCE.map(({ colour }) => rgb(colour));
    const picture = painted(labels, width, height, (id, rim) => [...colours[id - 1], rim ? 255 : 150]);
    this.compared = { key, picture };
    return picture;
  }

  drawFound() {
    const { state } = this;
    if (state.foundFrame !== state.frame) return;
    state.found.forEach((item, i) => this.drawMask(item.counts, "#ffffff", state.chosen.has(i) ? 0.43 : 0.16));
  }

  /** @param {import("./state.js").Look} look @param {number} pixel */
  drawPrompts(look, pixel) {
    const { context, state } = this;
    for (const [id, prompts] of Object.entries(look.prompts)) {
      const item = state.objects.find((other) => other.id === Number(id));
      if (!item?.visible) continue;
      const chosen = item.id === state.object;
      context.globalAlpha = chosen ? 1 : 0.55;
      if (prompts.box) {
        const [x0, y0, x1, y1] = prompts.box;
        context.setLineDash([6 * pixel, 4 * pixel]);
        context.lineWidth = 1.5 * pixel;
        context.strokeStyle = item.colour;
        context.strokeRect(x0, y0, x1 - x0, y1 - y0);
        context.setLineDash([]);
      }
      for (const [x, y, positive] of prompts.points) point(context, x, y, positive, item.colour, pixel);
      context.globalAlpha = 1;
    }
  }

  /** @param {number} pixel */
  drawCross(pixel) {
    const { x, y } = /** @type {{x: number, y: number}} */ (this.state.cursor);
    for (const [colour, line] of /** @type {[string, number][]} */ ([["#000", 3], ["#fff", 1]])) {
      this.context.strokeStyle = colour;
      this.context.lineWidth = line * pixel;
      this.context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        this.context.moveTo(x + 4 * dx * pixel, y + 4 * dy * pixel);
        this.context.lineTo(x + 16 * dx * pixel, y + 16 * dy * pixel);
      }
      this.context.stroke();
    }
  }
}

/** What the colours of a comparison mean. */
export const DIFFERENCE = [
  { name: "hit", colour: "#2fbf71" },
  { name: "missed", colour: "#3a86ff" },
  { name: "false alarm", colour: "#ff5d5d" },
];

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x @param {number} y @param {boolean} positive @param {string} colour @param {number} pixel
 */
export function point(context, x, y, positive, colour, pixel) {
  context.beginPath();
  context.arc(x, y, 7 * pixel, 0, 7);
  context.fillStyle = positive ? colour : "#14161a";
  context.fill();
  context.lineWidth = 2 * pixel;
  context.strokeStyle = positive ? "#fff" : colour;
  context.stroke();
  context.beginPath();
  context.moveTo(x - 3.5 * pixel, y);
  context.lineTo(x + 3.5 * pixel, y);
  if (positive) {
    context.moveTo(x, y - 3.5 * pixel);
    context.lineTo(x, y + 3.5 * pixel);
  }
  context.strokeStyle = positive ? "#14161a" : "#fff";
  context.stroke();
}
