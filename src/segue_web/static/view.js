// The image on its canvas, with zoom and pan: frame, masks, prompts and what a tool draws, one over the other.

import { element } from "./dom.js";
import { frameImages } from "./frames.js";
import { drawGuides } from "./guides.js";
import { graded } from "./grade.js";
import { masks } from "./masks.js";
import { drawing, write } from "./paint.js";
import { drawCorners, drawCross, drawName, drawPins, drawPrompts, drawShapes } from "./prompts.js";
import { IMAGE, state } from "./state.js";

/** what is left of masks under a brush */
const FADED = 0.25;

/** what is left free around an image that fits, in pixels of the page */
const MARGIN = 6;

class View {
  constructor() {
    this.canvas = element("canvas");
    this.context = drawing(this.canvas);
    this.scale = 1;
    this.offset = { x: 0, y: 0 };
    this.fitted = true;
    /** how much of masks is drawn at the moment */
    this.faded = 1;
    /**
     * what a tool draws over everything, in pixels of the video
     * @type {((context: CanvasRenderingContext2D, scale: number) => void) | null}
     */
    this.draft = null;
    /** the disk of the brush, in which masks fade @type {{x: number, y: number, radius: number} | null} */
    this.brush = null;
    /** where the pointer is, in pixels of the video @type {{x: number, y: number} | null} */
    this.pointer = null;
    /** Shapes that can be changed. @type {() => import("./state.js").ShapeHere[]} */
    this.shapes = () => [];
    /** corners of an outline that can be moved @type {number[][]} */
    this.corners = [];
    /**
     * the object under the pointer, and where its name is drawn
     * @type {{x: number, y: number, id: number, name: string} | null}
     */
    this.named = null;
    new ResizeObserver(() => this.resize(false)).observe(this.canvas);
    addEventListener("resize", () => this.resize(true));
    state.listen(() => this.draw(), IMAGE);
  }

  /**
   * Take the size of the canvas. Only a window of another size fits the image anew: where panels change, it stays
   * where it is, unless one that fitted is cut.
   */
  resize(/** @type {boolean} */ window) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio;
    // Pixels of a video may be wide: then the canvas has fewer columns, each as wide.
    this.canvas.width = Math.max(1, Math.round((box.width * ratio) / state.video.pixel_aspect));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    if (this.fitted && (window || this.isCut)) this.fit();
    this.draw();
  }

  /** How high a canvas is, in pixels of the page, that an image fills which is as wide. */
  heightAt(/** @type {number} */ width) {
    const { video } = state;
    return 2 * MARGIN + ((width - 2 * MARGIN) * video.height) / (video.width * video.pixel_aspect);
  }

  /** whether the canvas has become too small for the image */
  get isCut() {
    const { x, y } = this.offset;
    const [right, bottom] = [x + state.video.width * this.scale, y + state.video.height * this.scale];
    return x < -0.5 || y < -0.5 || right > this.paneWidth + 0.5 || bottom > this.canvas.height + 0.5;
  }

  /** how many images stand side by side, with the same place and zoom */
  get panes() {
    return state.mode === "compare" && state.compare === "both" ? 2 : 1;
  }

  get paneWidth() {
    return Math.floor(this.canvas.width / this.panes); // both begin at a pixel
  }

  /** Show one image or two; what is in the middle stays there. */
  arrange(/** @type {() => void} */ change) {
    const before = this.paneWidth;
    change();
    if (this.fitted) this.fit();
    else this.offset.x += (this.paneWidth - before) / 2;
    state.changed();
  }

  fit() {
    const { width, height } = state.video;
    const margin = MARGIN * devicePixelRatio;
    this.scale = Math.min((this.paneWidth - 2 * margin) / width, (this.canvas.height - 2 * margin) / height);
    this.scale = Math.max(this.scale, 0.01);
    // Room is left below, where the timeline grows with its rows: the image need not move then.
    this.offset = { x: (this.paneWidth - width * this.scale) / 2, y: margin };
    this.fitted = true;
  }

  zoom(/** @type {number} */ factor, at = { x: this.paneWidth / 2, y: this.canvas.height / 2 }) {
    const scale = Math.min(Math.max(this.scale * factor, 0.02), 64);
    const x = this.inPane(at.x);
    this.offset.x = x - ((x - this.offset.x) * scale) / this.scale;
    this.offset.y = at.y - ((at.y - this.offset.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    state.changed(IMAGE);
  }

  pan(/** @type {number} */ dx, /** @type {number} */ dy) {
    this.offset.x += dx;
    this.offset.y += dy;
    this.fitted = false;
    state.changed(IMAGE);
  }

  place(/** @type {MouseEvent} */ event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio;
    return { x: ((event.clientX - box.left) * ratio) / state.video.pixel_aspect, y: (event.clientY - box.top) * ratio };
  }

  videoPoint(/** @type {MouseEvent} */ event) {
    const { x, y } = this.place(event);
    return { x: (this.inPane(x) - this.offset.x) / this.scale, y: (y - this.offset.y) / this.scale };
  }

  /** A place from the left of its pane on. */
  inPane(/** @type {number} */ x) {
    return x - Math.min(this.panes - 1, Math.max(0, Math.floor(x / this.paneWidth))) * this.paneWidth;
  }

  draw() {
    const { context, canvas } = this;
    if (state.mode === "loading") return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const zoom = `${Math.round((100 * this.scale) / devicePixelRatio)} %`;
    if (element("zoom").textContent !== zoom) element("zoom").textContent = zoom;
    frameImages.setShownWidth(state.video.width * this.scale);
    const bitmap = frameImages.bitmaps.get(state.frame);
    if (bitmap) frameImages.shown = bitmap;
    for (let pane = 0; pane < this.panes; pane++) {
      this.within(pane * this.paneWidth, this.paneWidth, canvas.height, () => {
        context.setTransform(this.scale, 0, 0, this.scale, this.offset.x + pane * this.paneWidth, this.offset.y);
        this.drawPane(pane);
        if (this.panes === 1) return;
        context.setTransform(1, 0, 0, 1, pane * this.paneWidth, 0);
        write(context, state.names[pane], 12 * devicePixelRatio, 18 * devicePixelRatio, devicePixelRatio, "left");
      });
    }
    if (this.panes > 1) {
      context.fillStyle = "#fff8";
      context.fillRect(this.paneWidth - 1, 0, 2, canvas.height);
    }
  }

  /** Draw between two upright lines only. */
  within(
    /** @type {number} */ left,
    /** @type {number} */ width,
    /** @type {number} */ height,
    /** @type {() => void} */ draw,
  ) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(left, 0, width, height);
    context.clip();
    draw();
    context.restore();
  }

  drawPane(/** @type {number} */ pane) {
    const { context } = this;
    const { width, height } = state.video;
    context.imageSmoothingEnabled = this.scale < 3 * devicePixelRatio;
    const { exposure, gamma, guides, neighbours, hidden } = state.settings;
    if (frameImages.shown)
      context.drawImage(graded(frameImages.shown, Number(exposure), Number(gamma)), 0, 0, width, height);
    else {
      context.fillStyle = "#0003";
      context.fillRect(0, 0, width, height);
    }
    const data = state.current;
    if (data && !hidden) this.drawAroundBrush(() => masks.draw(this, data, pane));
    const pixel = devicePixelRatio / this.scale;
    if (neighbours && !hidden && state.mode !== "compare") masks.drawNeighbours(this, pixel);
    if (guides !== "none") drawGuides(context, width, height, guides, pixel);
    if (state.mode === "annotate" && pane === this.panes - 1) {
      masks.drawFound(this);
      if (data) masks.drawOthers(this, data, pixel);
      if (data) drawPrompts(context, data, pixel);
    }
    // Another frame may have come below the pointer.
    if (this.named && !state.settings.labels && masks.objectAt(this.named)?.id === this.named.id)
      drawName(context, this.named, pixel);
    drawCorners(context, this.corners, pixel);
    drawShapes(context, this.shapes(), pixel, state.colour);
    if (state.mode === "annotate") drawPins(context, this.pointer, pixel);
    if (this.draft) this.draft(context, pixel);
    if (state.cursor) drawCross(context, pixel);
  }

  /** Draw masks, faintly under the brush so that the image stays visible. */
  drawAroundBrush(/** @type {() => void} */ draw) {
    if (!this.brush) {
      draw();
      return;
    }
    const { context } = this;
    const { x, y, radius } = this.brush;
    const disk = new Path2D();
    disk.arc(x, y, radius, 0, 7);
    const around = new Path2D(disk);
    around.rect(-1e6, -1e6, 2e6, 2e6);
    for (const [part, faded] of /** @type {[Path2D, number][]} */ ([
      [around, 1],
      [disk, FADED],
    ])) {
      context.save();
      context.clip(part, "evenodd");
      this.faded = faded;
      draw();
      context.restore();
    }
    this.faded = 1;
  }
}

export const view = new View();
