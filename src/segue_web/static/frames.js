// The images of frames: loaded around the one that is shown, and kept while there is room; the newest place counts.

import { messageOf, notice } from "./dom.js";
import { loadFrames } from "./link.js";
import { IMAGE, state } from "./state.js";

const KEPT_FRAMES = 64;
/** images that are asked for at once: one is decoded while another one is sent */
const AT_ONCE = 3;
/** milliseconds for which a place rests while it is dragged, before more than the key frame near it is asked for */
const REST = 120;

/** frames from one place to another one, which decoding on takes longer for than a key frame near it */
const FAR = 12;
/** widths of images: of those as wide as the screen shows them or wider, the smallest one is asked for */
const WIDTHS = [640, 960, 1280, 1600, 1920, 2560];
/** width of images that are near a place that is jumped to */
const NEAR_WIDTH = 960;
/** how much an image may be enlarged while the film is played */
const ENLARGED = 1.5;

class Frames {
  /** @type {Map<number, ImageBitmap>} */
  bitmaps = new Map();
  /** widths of these images, as they were asked for @type {Map<number, number>} */
  widths = new Map();
  /** pixels of the screen over which a frame is shown */
  shownWidth = 0;
  /** pending requests @type {Map<number, AbortController>} */
  loading = new Map();
  /** frames that are needed, the first one first @type {number[]} */
  needed = [];
  /** frames that could not be read since the place was changed @type {Set<number>} */
  failed = new Set();
  /** what is on the screen until the frame is there @type {ImageBitmap | null} */
  shown = null;
  /** the frame before this one, and in which direction it was left */
  before = 0;
  direction = 1;
  rest = 0;
  isLooking = false;
  isNear = false;
  /** whether frames ahead wait until the current one is here: it is far from the one before */
  isFar = false;

  /** Whether frame and masks of the moment are on the screen. */
  get ready() {
    return this.isHere(state.frame) && state.isFresh(state.frame);
  }

  /** Whether the image of a frame is here, as wide as it is shown. */
  isHere(/** @type {number} */ index) {
    return (this.widths.get(index) ?? 0) >= this.width;
  }

  /** How wide images are needed now. */
  get width() {
    const shown = this.shownWidth / (state.playing ? ENLARGED : 1);
    return Math.min(WIDTHS.find((width) => width >= shown) ?? Infinity, state.video.width);
  }

  /** Take the width in which frames are shown from now on. */
  setShownWidth(/** @type {number} */ width) {
    this.shownWidth = width;
    if (!this.rest && !this.isHere(state.frame)) this.fill();
  }

  /** Load the frames around the current frame and cancel others; while dragging, load near ones. */
  load(/** @type {boolean} */ dragging, /** @type {number} */ ahead) {
    clearTimeout(this.rest);
    this.rest = 0;
    const { frame, video } = state;
    this.isFar = Math.abs(frame - this.before) > FAR;
    if (frame !== this.before) this.direction = state.playing || frame > this.before ? 1 : -1;
    this.before = frame;
    const steps = Array.from({ length: ahead + 1 }, (_, n) => frame + n * this.direction);
    this.needed = steps.filter((index) => index >= 0 && index < video.frames);
    this.failed.clear();
    void this.look();
    for (const [index, request] of this.loading) if (!this.needed.includes(index)) request.abort();
    if ((dragging || this.isFar) && !this.isHere(frame)) void this.loadNear();
    if (dragging && !this.isHere(frame)) this.rest = setTimeout(() => this.fill(), REST);
    else this.fill();
  }

  /** Ask for masks, once at a time, and then for those that are needed by then. */
  async look() {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      for (let asked = ""; ;) {
        const { frame, settings, video } = state;
        const beside = settings.neighbours ? [frame - 1, frame + 1] : [];
        const missing = [...new Set([...this.needed, ...beside])].filter(
          (index) => index >= 0 && index < video.frames && !state.isFresh(index),
        );
        if (!missing.length || asked === String(missing)) return;
        asked = String(missing);
        await loadFrames(missing);
      }
    } finally {
      this.isLooking = false;
    }
  }

  /** Ask for images, a few at a time, and then for those that are needed by then. */
  fill() {
    this.rest = 0;
    const [first] = this.needed;
    const isFirstAlone = this.isFar && !this.isHere(first) && !this.failed.has(first);
    for (const index of isFirstAlone ? [first] : this.needed) {
      if (this.loading.size >= AT_ONCE) return;
      if (!this.isHere(index) && !this.loading.has(index) && !this.failed.has(index)) void this.loadFrame(index);
    }
  }

  async loadFrame(/** @type {number} */ index) {
    if (!state.online) return; // another program may be there by now
    const request = new AbortController();
    const { width } = this;
    this.loading.set(index, request);
    try {
      const bitmap = await imageOf(index, width, {}, request.signal);
      this.release(this.bitmaps.get(index));
      this.bitmaps.set(index, bitmap);
      this.widths.set(index, width);
      this.forget();
      state.changed(IMAGE);
    } catch (error) {
      if (!request.signal.aborted) {
        this.failed.add(index);
        if (state.online) notice(messageOf(error), "bad");
      }
    } finally {
      this.loading.delete(index);
    }
    this.fill();
  }

  /** Show key frames near the places that are passed, one at a time, and then the one of the newest place. */
  async loadNear() {
    if (this.isNear || !state.online) return;
    this.isNear = true;
    try {
      for (let asked = -1; state.frame !== asked && !this.bitmaps.has(state.frame);) {
        asked = state.frame;
        const bitmap = await imageOf(asked, Math.min(NEAR_WIDTH, this.width), { near: "true" });
        if (!this.bitmaps.has(state.frame)) this.shown = bitmap;
        state.changed(IMAGE);
      }
    } catch {
      // The frame itself says what is wrong.
    } finally {
      this.isNear = false;
    }
  }

  /** Free the memory of an image that is not on the screen. */
  release(/** @type {ImageBitmap | undefined} */ bitmap) {
    if (bitmap !== this.shown) bitmap?.close();
  }

  forget() {
    const pixels = state.video.width * state.video.height;
    const most = Math.max(6, Math.min(KEPT_FRAMES, Math.round(120e6 / pixels)));
    for (const [index, bitmap] of this.bitmaps) {
      if (this.bitmaps.size <= most) return;
      if (index === state.frame) continue;
      this.release(bitmap);
      this.bitmaps.delete(index);
      this.widths.delete(index);
    }
  }
}

/**
 * The image of a frame, or one near it.
 * @param {number} index @param {number} width @param {Record<string, string>} how @param {AbortSignal} [signal]
 */
async function imageOf(index, width, how, signal) {
  const { number, version, width: whole } = state.video;
  const which = {
    ...how,
    ...(width < whole ? { width: String(width) } : {}),
    ...(number === undefined ? {} : { video: String(number) }),
    // The browser keeps images by their address: numbers of a list and files of a name become those of other videos.
    ...(version === undefined ? {} : { version }),
  };
  const answer = await fetch(`frame/${index}.jpg?${new URLSearchParams(which)}`, { signal });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `frame ${index} cannot be read`);
  return createImageBitmap(await answer.blob());
}

export const frameImages = new Frames();
