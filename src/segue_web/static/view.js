// The image: frame, masks, prompts and cross on one canvas, with zoom and pan.

import { element, messageOf, notice, short } from "./dom.js";
import { loadFrames } from "./link.js";
import { boxed, DIFFERENCE, LABEL, outline, outlineOf, paintedMask, point, rimOf, write } from "./paint.js";
import { state } from "./state.js";

const KEPT_FRAMES = 64;
/** a rim on the screen, in pixels of the page, that is too thick */
const THICK = 2.5;
/** what is left of masks under a brush */
const FADED = 0.25;
/** names nearer to the pointer than this step aside, in pixels of the page */
const ASIDE = 60;
/** a name on a mask may be so many times as wide */
const ROOM = 1.4;
/** images of masks that are kept, in pixels of so many frames */
const KEPT_MASKS = 24;

class View {
  constructor() {
    this.canvas = element("canvas");
    this.context = this.canvas.getContext("2d");
    this.scale = 1;
    this.offset = { x: 0, y: 0 };
    this.fitted = true;
    /** @type {Map<number, ImageBitmap>} */
    this.bitmaps = new Map();
    /** @type {Map<number, Promise<void>>} */
    this.loading = new Map();
    /**
     * by frame, kind and object
     * @type {Map<string, {looks: [string, string, number], isLine: boolean, path: Path2D | null, image:
     *   HTMLCanvasElement, inside: Uint8Array, x: number, y: number}>}
     */
    this.masks = new Map();
    /** outlines of other masks of a click @type {Map<string, Path2D>} */
    this.otherPaths = new Map();
    /** pixels of these images */
    this.painted = 0;
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
    /** corners of an outline that can be moved @type {number[][]} */
    this.corners = [];
    /**
     * the object under the pointer, and where its name is drawn
     * @type {{x: number, y: number, id: number, name: string} | null}
     */
    this.named = null;
    /** @type {ImageBitmap | null} */
    this.shown = null;
    new ResizeObserver(() => this.resize(false)).observe(this.canvas);
    addEventListener("resize", () => this.resize(true));
    state.listeners.add(() => this.draw());
  }

  /**
   * Take the size of the canvas. Only a window of another size fits the image anew: where panels change, it stays
   * where it is.
   */
  resize(window) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio;
    // Pixels of a video may be wide: then the canvas has fewer columns, each as wide.
    this.canvas.width = Math.max(1, Math.round((box.width * ratio) / state.video.pixel_aspect));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    if (window && this.fitted) this.fit();
    this.draw();
  }

  /** how many images stand side by side, with the same place and zoom */
  get panes() {
    return state.mode === "compare" && state.compare === "both" ? 2 : 1;
  }

  get paneWidth() {
    return Math.floor(this.canvas.width / this.panes); // both begin at a pixel
  }

  /** Show one image or two; what is in the middle stays there. */
  arrange(change) {
    const before = this.paneWidth;
    change();
    if (this.fitted) this.fit();
    else this.offset.x += (this.paneWidth - before) / 2;
    state.changed();
  }

  fit() {
    const { width, height } = state.video;
    const margin = (state.settings.sideFolded ? 6 : 20) * devicePixelRatio;
    this.scale = Math.min((this.paneWidth - 2 * margin) / width, (this.canvas.height - 2 * margin) / height);
    this.scale = Math.max(this.scale, 0.01);
    this.offset = { x: (this.paneWidth - width * this.scale) / 2, y: (this.canvas.height - height * this.scale) / 2 };
    this.fitted = true;
  }

  zoom(factor, at = { x: this.paneWidth / 2, y: this.canvas.height / 2 }) {
    const scale = Math.min(Math.max(this.scale * factor, 0.02), 64);
    const x = this.inPane(at.x);
    this.offset.x = x - ((x - this.offset.x) * scale) / this.scale;
    this.offset.y = at.y - ((at.y - this.offset.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    state.changed();
  }

  pan(dx, dy) {
    this.offset.x += dx;
    this.offset.y += dy;
    this.fitted = false;
    state.changed();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio;
    return { x: ((event.clientX - box.left) * ratio) / state.video.pixel_aspect, y: (event.clientY - box.top) * ratio };
  }

  videoPoint(event) {
    const { x, y } = this.place(event);
    return { x: (this.inPane(x) - this.offset.x) / this.scale, y: (y - this.offset.y) / this.scale };
  }

  /** A place from the left of its pane on. */
  inPane(x) {
    return x - Math.min(this.panes - 1, Math.max(0, Math.floor(x / this.paneWidth))) * this.paneWidth;
  }

  /** Whether frame and masks of the moment are on the screen. */
  get ready() {
    return this.bitmaps.has(state.frame) && state.isFresh(state.frame);
  }

  /** Load what is needed around the current frame. */
  async load(quick, ahead) {
    const { frame, video } = state;
    const frames = Array.from({ length: Math.min(ahead + 1, video.frames - frame) }, (_, n) => frame + n);
    const missing = frames.filter((index) => !state.isFresh(index));
    if (missing.length) void loadFrames(missing);
    if (quick && !this.bitmaps.has(frame)) void this.fetchFrame(frame, true);
    for (const index of frames) {
      if (!this.bitmaps.has(index)) await this.fetchFrame(index, false);
      if (state.frame !== frame && !state.playing) return;
    }
  }

  fetchFrame(index, near) {
    const key = near ? -1 - index : index;
    const running = this.loading.get(key);
    if (running) return running;
    if (!state.online) return Promise.resolve(); // another program may be there by now
    const work = (async () => {
      try {
        const answer = await fetch(
          `frame/${index}.jpg?${new URLSearchParams({ ...(near ? { near: "true" } : {}), ...(state.video.number === undefined ? {} : { video: String(state.video.number) }) })}`,
        );
        if (!answer.ok)
          throw new Error((await answer.json().catch(() => ({}))).error || `frame ${index} cannot be read`);
        const bitmap = await createImageBitmap(await answer.blob());
        if (near) {
          if (state.frame === index && !this.bitmaps.has(index)) this.shown = bitmap;
        } else {
          this.bitmaps.set(index, bitmap);
          this.forget();
        }
        state.changed();
      } catch (error) {
        if (!near && state.online) notice(messageOf(error), "bad");
      } finally {
        this.loading.delete(key);
      }
    })();
    this.loading.set(key, work);
    return work;
  }

  forget() {
    const pixels = state.video.width * state.video.height;
    const most = Math.max(6, Math.min(KEPT_FRAMES, Math.round(120e6 / pixels)));
    for (const [index, bitmap] of this.bitmaps) {
      if (this.bitmaps.size <= most) return;
      if (index === state.frame) continue;
      bitmap.close();
      this.bitmaps.delete(index);
    }
  }

  draw() {
    const { context, canvas } = this;
    if (state.mode === "loading") return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const zoom = `${Math.round((100 * this.scale) / devicePixelRatio)} %`;
    if (element("zoom").textContent !== zoom) element("zoom").textContent = zoom;
    const bitmap = this.bitmaps.get(state.frame);
    if (bitmap) this.shown = bitmap;
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
  within(left, width, height, draw) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(left, 0, width, height);
    context.clip();
    draw();
    context.restore();
  }

  drawPane(pane) {
    const { context } = this;
    const { width, height } = state.video;
    context.imageSmoothingEnabled = this.scale < 3 * devicePixelRatio;
    if (this.shown) context.drawImage(this.shown, 0, 0, width, height);
    else {
      context.fillStyle = "#0003";
      context.fillRect(0, 0, width, height);
    }
    const data = state.current;
    if (data && !state.settings.hidden) this.drawAroundBrush(() => this.drawMasks(data, pane));
    const pixel = devicePixelRatio / this.scale;
    if (state.mode === "annotate" && pane === this.panes - 1) {
      this.drawFound();
      if (data) this.drawOthers(data, pixel);
      if (data) this.drawPrompts(data, pixel);
    }
    if (this.named && !state.settings.labels)
      write(context, short(this.named.name), this.named.x + 18 * pixel, this.named.y - 26 * pixel, pixel, "left");
    for (const [x, y] of this.corners) {
      context.fillStyle = "#fff";
      context.strokeStyle = "#000a";
      context.lineWidth = pixel;
      context.fillRect(x - 3 * pixel, y - 3 * pixel, 6 * pixel, 6 * pixel);
      context.strokeRect(x - 3 * pixel, y - 3 * pixel, 6 * pixel, 6 * pixel);
    }
    if (this.draft) this.draft(context, pixel);
    if (state.cursor) this.drawCross(pixel);
  }

  /** Draw masks, faintly under the brush: what lies there is what somebody looks at. */
  drawAroundBrush(draw) {
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

  drawMasks(data, pane) {
    const { context } = this;
    const { width, height } = state.video;
    if (state.mode !== "compare") {
      this.drawOverlay(data.masks, "mask");
      return;
    }
    const sides = [data.masks, data.other ?? {}];
    if (state.compare === "both") this.drawOverlay(sides[pane], `side ${pane}`);
    else if (state.compare === "difference") this.drawDifference(data);
    else {
      const x = state.split * width;
      this.within(0, x, height, () => this.drawOverlay(sides[0], "side 0"));
      this.within(x, width - x, height, () => this.drawOverlay(sides[1], "side 1"));
      const pixel = devicePixelRatio / this.scale;
      context.fillStyle = "#fff";
      context.fillRect(x - pixel, 0, 2 * pixel, height);
      context.beginPath();
      context.arc(x, height / 2, 11 * pixel, 0, 7);
      context.fill();
      write(context, "⟷", x, height / 2, pixel, "center", "#222");
      write(context, state.names[0], x - 16 * pixel, 16 * pixel, pixel, "right");
      write(context, state.names[1], x + 16 * pixel, 16 * pixel, pixel, "left");
    }
  }

  /** Draw the masks of a frame; later objects lie on top. */
  drawOverlay(masks, kind) {
    const { context } = this;
    for (const { id, visible, colour } of state.objects) {
      if (!visible || !masks[id]) continue;
      context.globalAlpha = this.faded * (state.object === null || id === state.object ? 1 : 0.75);
      this.drawMask(`${kind} ${id}`, masks[id], colour, Number(state.settings.opacity));
    }
    context.globalAlpha = 1;
    if (state.settings.labels) this.drawLabels(masks, kind);
  }

  /** Number of each object in the middle of its mask, and its name where there is room: others may be near. */
  drawLabels(masks, kind) {
    const pixel = devicePixelRatio / this.scale;
    state.ordered.forEach((item, i) => {
      const mask = item.visible ? this.masks.get(`${state.frame} ${kind} ${item.id}`) : undefined;
      if (!mask || !masks[item.id]) return;
      const whole = `${i + 1} ${short(item.name)}`;
      this.context.font = LABEL(pixel);
      const wanted = item.id === state.object || item.id === this.named?.id;
      const fits = wanted || this.context.measureText(whole).width < ROOM * mask.image.width;
      const [x, y] = this.besidePointer(mask.x + mask.image.width / 2, mask.y + mask.image.height / 2, pixel);
      write(this.context, fits ? whole : String(i + 1), x, y, pixel);
    });
  }

  /** A place for a name, away from the pointer. */
  besidePointer(x, y, pixel) {
    if (!this.pointer) return [x, y];
    const [dx, dy] = [x - this.pointer.x, y - this.pointer.y];
    const [away, least] = [Math.hypot(dx, dy), ASIDE * pixel];
    if (away >= least) return [x, y];
    const share = least / Math.max(away, 1e-3);
    return away < pixel ? [x, y - least] : [this.pointer.x + dx * share, this.pointer.y + dy * share];
  }

  /** The object on top whose mask is seen at a place of the frame; the chosen one comes first. */
  objectAt({ x, y }) {
    const shown = state.settings.hidden ? {} : (state.current?.masks ?? {});
    const hit = ({ id, visible }) => {
      const mask = visible && shown[id] ? this.masks.get(`${state.frame} mask ${id}`) : undefined;
      if (!mask) return false;
      const [column, row] = [Math.floor(x) - mask.x, Math.floor(y) - mask.y];
      return (
        column >= 0 &&
        row >= 0 &&
        column < mask.image.width &&
        row < mask.image.height &&
        mask.inside[row * mask.image.width + column] === 1
      );
    };
    return [...state.objects, ...state.objects.filter(({ id }) => id === state.object)].reverse().find(hit);
  }

  /** Draw a mask of this frame, which is painted once; ``what`` names it. */
  drawMask(what, counts, colour, alpha) {
    const { width, height } = state.video;
    const key = `${state.frame} ${what}`;
    // A rim of pixels is thin until the image is enlarged; then a line takes its place.
    const usual = rimOf(width, height);
    const isLine = (usual * this.scale) / devicePixelRatio > THICK;
    let mask = this.masks.get(key);
    // Run lengths of the frame as it was drawn last are the same text, so that they are not compared sign by sign.
    if (
      !mask ||
      mask.looks[0] !== counts ||
      mask.looks[1] !== colour ||
      mask.looks[2] !== alpha ||
      mask.isLine !== isLine
    ) {
      this.forgetMask(key);
      mask = {
        looks: [counts, colour, alpha],
        isLine,
        path: null,
        ...paintedMask(counts, height, isLine ? 0 : usual, colour, alpha),
      };
      this.masks.set(key, mask);
      this.painted += mask.image.width * mask.image.height;
      for (const old of this.masks.keys()) {
        if (old === key || this.painted <= KEPT_MASKS * width * height) break;
        this.forgetMask(old);
      }
    } else mask.looks[0] = counts;
    this.context.drawImage(mask.image, mask.x, mask.y);
    if (!isLine) return;
    mask.path ??= outlineOf(mask);
    this.context.lineWidth = (1.5 * devicePixelRatio) / this.scale;
    this.context.strokeStyle = colour;
    this.context.stroke(mask.path);
  }

  forgetMask(key) {
    const image = this.masks.get(key)?.image;
    if (image) this.painted -= image.width * image.height;
    this.masks.delete(key);
  }

  /** Hits over misses over false alarms of each object; the second result is the truth. */
  drawDifference(data) {
    for (const kind of [2, 1, 0]) {
      for (const { id, visible } of state.objects) {
        const counts = data.difference?.[id]?.[kind];
        if (visible && counts) this.drawMask(`${DIFFERENCE[kind].name} ${id}`, counts, DIFFERENCE[kind].colour, 0.6);
      }
    }
  }

  /** Outline the other masks that the one click of the chosen object may mean. */
  drawOthers(data, pixel) {
    const { others } = state;
    if (
      !others ||
      others.frame !== state.frame ||
      others.object !== state.object ||
      data.masks[others.object] !== others.mask
    )
      return;
    const { context } = this;
    context.setLineDash([5 * pixel, 4 * pixel]);
    for (const counts of others.masks) {
      let path = this.otherPaths.get(counts);
      if (!path) this.otherPaths.set(counts, (path = outlineOf(boxed(counts, state.video.height))));
      for (const [tone, width] of /** @type {[string, number][]} */ ([
        ["#000a", 3],
        ["#fff", 1.5],
      ])) {
        context.lineWidth = width * pixel;
        context.strokeStyle = tone;
        context.stroke(path);
      }
    }
    context.setLineDash([]);
    if (this.otherPaths.size > 12) this.otherPaths.clear();
  }

  drawFound() {
    if (state.foundFrame !== state.frame) return;
    state.found.forEach((item, i) =>
      this.drawMask(`found ${i}`, item.counts, "#ffffff", state.chosen.has(i) ? 0.43 : 0.16),
    );
  }

  drawPrompts(data, pixel) {
    const { context } = this;
    for (const [id, prompts] of Object.entries(data.prompts)) {
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

  drawCross(pixel) {
    if (!state.cursor) return;
    const { x, y } = state.cursor;
    this.context.beginPath();
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ]) {
      this.context.moveTo(x + 4 * dx * pixel, y + 4 * dy * pixel);
      this.context.lineTo(x + 16 * dx * pixel, y + 16 * dy * pixel);
    }
    outline(this.context, pixel, "#fff", 1);
  }
}

export const view = new View();
