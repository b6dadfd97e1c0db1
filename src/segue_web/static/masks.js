// The masks on the image: each is painted once, and kept while there is room.

import { short } from "./dom.js";
import { NUM_HATCHES } from "./colours.js";
import { frameImages } from "./frames.js";
import { graded } from "./grade.js";
import { showsOpacity, softMask } from "./mattes.js";
import {
  boxed,
  CHANGE,
  DIFFERENCE,
  drawing,
  hatchOf,
  LABEL,
  NEIGHBOURS,
  outline,
  outlineOf,
  paintedMask,
  rimOf,
  write,
} from "./paint.js";
import { awayFrom } from "./places.js";
import { isDoubtful } from "./review.js";
import { maskBox, without } from "./runs.js";
import { state } from "./state.js";

/** a rim on the screen, in pixels of the page, that is too thick */
const THICK = 2.5;
/** names nearer to the pointer than this step aside, in pixels of the page */
const ASIDE = 60;
/** a name on a mask may be so many times as wide */
const ROOM = 1.4;
/** images of masks that are kept, in pixels of so many frames */
const KEPT_MASKS = 24;
/** the outline of a mask that is likely to fit badly */
const DOUBT = "#ffb020";

/**
 * @typedef {import("./places.js").Point} Point
 * @typedef {import("./state.js").FrameData} FrameData
 * @typedef {import("./state.js").TrackedObject} TrackedObject
 */
/** What masks are drawn on.
 * @typedef {{context: CanvasRenderingContext2D, scale: number, faded: number, named: {id: number} | null,
 *   pointer: Point | null,
 *   within: (left: number, width: number, height: number, draw: () => void) => void}} Pane
 */

class Masks {
  /**
   * by frame, kind and object
   * @type {Map<string, {looks: [string, string, number, number | null], isLine: boolean, path: Path2D | null, image:
   *   HTMLCanvasElement, inside: Uint8Array, x: number, y: number}>}
   */
  images = new Map();
  /** outlines of other masks of a click @type {Map<string, Path2D>} */
  otherPaths = new Map();
  /** pixels of these images */
  painted = 0;
  /** where opacities meet before they are drawn @type {HTMLCanvasElement | null} */
  layer = null;

  /** objects that are shown, the one in front last */
  get shown() {
    return state.objects.filter((item) => state.isShown(item));
  }

  /** Draw the masks of the moment in a pane. */
  draw(/** @type {Pane} */ view, /** @type {FrameData} */ data, /** @type {number} */ pane) {
    const { context } = view;
    const { width, height } = state.video;
    if (state.mode !== "compare") {
      const { replaced = {}, masks } = data;
      if (showsOpacity()) {
        this.drawOpacity(view, masks);
        return;
      }
      this.drawOverlay(view, state.changeView === "before" ? { ...masks, ...replaced } : masks, "mask");
      if (state.changeView === "difference") this.drawChanges(view, masks, replaced);
      this.drawDoubts(view, masks);
      return;
    }
    const sides = [data.masks, data.other ?? {}];
    if (state.compare === "both") this.drawOverlay(view, sides[pane], `side ${pane}`);
    else if (state.compare === "difference") this.drawDifference(view, data);
    else {
      const x = state.split * width;
      view.within(0, x, height, () => this.drawOverlay(view, sides[0], "side 0"));
      view.within(x, width - x, height, () => this.drawOverlay(view, sides[1], "side 1"));
      const pixel = devicePixelRatio / view.scale;
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
  drawOverlay(/** @type {Pane} */ view, /** @type {Record<string, string>} */ masks, /** @type {string} */ kind) {
    const { context } = view;
    const isOutline = state.settings.view === "outline" && state.mode === "annotate";
    const opacity = isOutline ? 0 : Number(state.settings.opacity);
    for (const { id, colour } of this.shown) {
      if (!masks[id]) continue;
      context.globalAlpha = view.faded * (state.object === null || id === state.object ? 1 : 0.75);
      const hatch = state.settings.hatched && !isOutline ? (id - 1) % NUM_HATCHES : null;
      this.drawMask(view, `${kind} ${id}`, masks[id], colour, opacity, hatch);
    }
    context.globalAlpha = 1;
    if (state.settings.labels) this.drawLabels(view, masks, kind);
  }

  /** The opacity of all objects as white on black, or the film where they are over a colour. */
  drawOpacity(/** @type {Pane} */ view, /** @type {Record<string, string>} */ masks) {
    const { context } = view;
    const { video, settings } = state;
    const isMatte = settings.view === "matte";
    const layer = (this.layer ??= document.createElement("canvas"));
    if (layer.width !== video.width || layer.height !== video.height)
      [layer.width, layer.height] = [video.width, video.height];
    const over = drawing(layer);
    over.globalCompositeOperation = "source-over";
    over.clearRect(0, 0, layer.width, layer.height);
    for (const { id } of this.shown) {
      if (!masks[id]) continue;
      // Without a rim, as with a line in its place: the opacity ends where the mask does.
      const hard = this.paintMask(`mask ${id}`, masks[id], { colour: "#ffffff", alpha: 1, hatch: null, isLine: true });
      const { image, x, y } = softMask(id) ?? hard;
      over.drawImage(image, x, y);
    }
    if (!isMatte && frameImages.shown) {
      over.globalCompositeOperation = "source-in";
      over.drawImage(
        graded(frameImages.shown, Number(settings.exposure), Number(settings.gamma)),
        0,
        0,
        video.width,
        video.height,
      );
    }
    context.fillStyle = isMatte ? "#000000" : String(settings.backdrop);
    context.fillRect(0, 0, video.width, video.height);
    context.drawImage(layer, 0, 0);
    if (settings.labels) this.drawLabels(view, masks, "mask");
  }

  /** What trackings added to masks, and what they removed. */
  drawChanges(
    /** @type {Pane} */ view,
    /** @type {Record<string, string>} */ masks,
    /** @type {Record<string, string>} */ replaced,
  ) {
    const box = (/** @type {string} */ counts) => maskBox(counts, state.video.height);
    for (const { id } of this.shown) {
      if (replaced[id] === undefined) continue;
      const [after, before] = [masks[id] ?? "", replaced[id]];
      for (const [i, [one, other]] of [
        [after, before],
        [before, after],
      ].entries()) {
        const { name, colour } = CHANGE[i];
        if (one)
          this.drawMask(view, `${name} ${id}`, `${one} ${other}`, colour, 0.7, null, () =>
            without(box(one), box(other)),
          );
      }
    }
  }

  /** Dash the outlines of masks from clicks that are likely to fit badly. */
  drawDoubts(/** @type {Pane} */ view, /** @type {Record<string, string>} */ masks) {
    for (const { id } of this.shown) {
      const mark = state.marksOf(id).get(state.frame);
      if (masks[id] && mark?.kind === "given" && isDoubtful(mark, 1))
        this.drawDashed(view, [masks[id]], devicePixelRatio / view.scale, DOUBT);
    }
  }

  /** Number of each object in the middle of its mask, and its name where there is room: others may be near. */
  drawLabels(/** @type {Pane} */ view, /** @type {Record<string, string>} */ masks, /** @type {string} */ kind) {
    const pixel = devicePixelRatio / view.scale;
    for (const item of state.ordered) {
      const mask = state.isShown(item) ? this.images.get(`${state.frame} ${kind} ${item.id}`) : undefined;
      if (!mask || !masks[item.id]) continue;
      const whole = `${item.id} ${short(item.name)}`;
      view.context.font = LABEL(pixel);
      const wanted = item.id === state.object || item.id === view.named?.id;
      const fits = wanted || view.context.measureText(whole).width < ROOM * mask.image.width;
      const middle = { x: mask.x + mask.image.width / 2, y: mask.y + mask.image.height / 2 };
      const { x, y } = view.pointer ? awayFrom(middle, view.pointer, ASIDE * pixel) : middle;
      write(view.context, fits ? whole : String(item.id), x, y, pixel);
    }
  }

  /** The topmost object at a place of the frame; the selected one comes first. */
  objectAt(/** @type {Point} */ { x, y }) {
    const shown = state.settings.hidden ? {} : (state.current?.masks ?? {});
    const hit = (/** @type {TrackedObject} */ item) => {
      const { id } = item;
      const mask = state.isShown(item) && shown[id] ? this.images.get(`${state.frame} mask ${id}`) : undefined;
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

  /** Draw a mask of this frame; ``what`` names it, and run lengths say which it is. */
  drawMask(
    /** @type {Pane} */ view,
    /** @type {string} */ what,
    /** @type {string} */ counts,
    /** @type {string} */ colour,
    /** @type {number} */ alpha,
    /** @type {number | null} */ hatch = null,
    box = () => maskBox(counts, state.video.height),
  ) {
    // A rim of pixels is thin until the image is enlarged; then a line takes its place.
    const isLine = (rimOf(state.video.width, state.video.height) * view.scale) / devicePixelRatio > THICK;
    const mask = this.paintMask(what, counts, { colour, alpha, hatch, isLine }, box);
    view.context.drawImage(mask.image, mask.x, mask.y);
    if (!isLine) return;
    mask.path ??= outlineOf(mask);
    outline(view.context, devicePixelRatio / view.scale, colour, 2, mask.path);
  }

  /** A mask of this frame, which is painted once. */
  paintMask(
    /** @type {string} */ what,
    /** @type {string} */ counts,
    /** @type {{colour: string, alpha: number, hatch: number | null, isLine: boolean}} */ {
      colour,
      alpha,
      hatch,
      isLine,
    },
    box = () => maskBox(counts, state.video.height),
  ) {
    const { width, height } = state.video;
    const key = `${state.frame} ${what}`;
    let mask = this.images.get(key);
    // Run lengths of the frame as it was drawn last are the same text, so that they are not compared sign by sign.
    if (
      !mask ||
      mask.looks[0] !== counts ||
      mask.looks[1] !== colour ||
      mask.looks[2] !== alpha ||
      mask.looks[3] !== hatch ||
      mask.isLine !== isLine
    ) {
      this.forgetMask(key);
      mask = {
        looks: [counts, colour, alpha, hatch],
        isLine,
        path: null,
        ...paintedMask(box(), isLine ? 0 : rimOf(width, height), colour, alpha, hatch, hatchOf(width, height)),
      };
      this.images.set(key, mask);
      this.painted += mask.image.width * mask.image.height;
      for (const old of this.images.keys()) {
        if (old === key || this.painted <= KEPT_MASKS * width * height) break;
        this.forgetMask(old);
      }
    } else mask.looks[0] = counts;
    return mask;
  }

  forgetMask(/** @type {string} */ key) {
    const image = this.images.get(key)?.image;
    if (image) this.painted -= image.width * image.height;
    this.images.delete(key);
  }

  /** Hits over misses over false alarms of each object; the second result is the truth. */
  drawDifference(/** @type {Pane} */ view, /** @type {FrameData} */ data) {
    for (const kind of [2, 1, 0]) {
      for (const { id } of this.shown) {
        const counts = data.difference?.[id]?.[kind];
        if (counts) this.drawMask(view, `${DIFFERENCE[kind].name} ${id}`, counts, DIFFERENCE[kind].colour, 0.6);
      }
    }
  }

  /** Outline the alternative masks of the selected object's click. */
  drawOthers(/** @type {Pane} */ view, /** @type {FrameData} */ data, /** @type {number} */ pixel) {
    const { others } = state;
    if (
      !others ||
      others.frame !== state.frame ||
      others.object !== state.object ||
      data.masks[others.object] !== others.mask
    )
      return;
    this.drawDashed(view, others.masks, pixel, "#fff");
  }

  /** Outline masks of the previous and next frame: of the selected object, or of all. */
  drawNeighbours(/** @type {Pane} */ view, /** @type {number} */ pixel) {
    for (const { colour, step } of NEIGHBOURS) {
      const { masks = {} } = state.frameData.get(state.frame + step) ?? {};
      const shown = this.shown.filter(({ id }) => (state.object ?? id) === id && masks[id]);
      this.drawDashed(
        view,
        shown.map(({ id }) => masks[id]),
        pixel,
        colour,
      );
    }
  }

  /** Draw dashed outlines of masks. */
  drawDashed(
    /** @type {Pane} */ view,
    /** @type {string[]} */ masks,
    /** @type {number} */ pixel,
    /** @type {string} */ colour,
  ) {
    const { context } = view;
    context.setLineDash([5 * pixel, 4 * pixel]);
    for (const counts of masks) {
      let path = this.otherPaths.get(counts);
      if (!path) this.otherPaths.set(counts, (path = outlineOf(boxed(counts, state.video.height))));
      outline(context, pixel, colour, 1.5, path);
    }
    context.setLineDash([]);
    if (this.otherPaths.size > 40) this.otherPaths.clear();
  }

  drawFound(/** @type {Pane} */ view) {
    if (state.foundFrame !== state.frame) return;
    state.found.forEach((item, i) =>
      this.drawMask(view, `found ${i}`, item.counts, "#ffffff", state.chosen.has(i) ? 0.43 : 0.16),
    );
  }
}

export const masks = new Masks();
