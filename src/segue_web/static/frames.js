// The images of frames: loaded around the one that is shown, and kept while there is room; the newest place counts.

import { messageOf, notice } from "./dom.js";
import { loadFrames } from "./link.js";
import { IMAGE, state } from "./state.js";

const KEPT_FRAMES = 64;
/** images that are asked for at once: one is decoded while another one is sent */
const AT_ONCE = 3;
/** milliseconds for which a place rests while it is dragged, before more than the key frame near it is asked for */
const REST = 120;

class Frames {
  /** @type {Map<number, ImageBitmap>} */
  bitmaps = new Map();
  /** what is asked for and not answered yet @type {Map<number, AbortController>} */
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

  /** Whether frame and masks of the moment are on the screen. */
  get ready() {
    return this.bitmaps.has(state.frame) && state.isFresh(state.frame);
  }

  /** Load what is needed around the current frame, and give up what is not; while it is dragged, what is near. */
  load(/** @type {boolean} */ dragging, /** @type {number} */ ahead) {
    clearTimeout(this.rest);
    const { frame, video } = state;
    if (frame !== this.before) this.direction = state.playing || frame > this.before ? 1 : -1;
    this.before = frame;
    const steps = Array.from({ length: ahead + 1 }, (_, n) => frame + n * this.direction);
    this.needed = steps.filter((index) => index >= 0 && index < video.frames);
    this.failed.clear();
    void this.look();
    for (const [index, request] of this.loading) if (!this.needed.includes(index)) request.abort();
    if (dragging && !this.bitmaps.has(frame)) {
      void this.loadNear();
      this.rest = setTimeout(() => this.fill(), REST);
    } else this.fill();
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
    for (const index of this.needed) {
      if (this.loading.size >= AT_ONCE) return;
      if (!this.bitmaps.has(index) && !this.loading.has(index) && !this.failed.has(index)) void this.loadFrame(index);
    }
  }

  async loadFrame(/** @type {number} */ index) {
    if (!state.online) return; // another program may be there by now
    const request = new AbortController();
    this.loading.set(index, request);
    try {
      const bitmap = await imageOf(index, false, request.signal);
      this.bitmaps.set(index, bitmap);
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
        const bitmap = await imageOf(asked, true);
        if (!this.bitmaps.has(state.frame)) this.shown = bitmap;
        state.changed(IMAGE);
      }
    } catch {
      // The frame itself says what is wrong.
    } finally {
      this.isNear = false;
    }
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
}

/** The image of a frame, or the key frame near it. @param {AbortSignal} [signal] */
async function imageOf(/** @type {number} */ index, /** @type {boolean} */ near, signal) {
  const { number } = state.video;
  const which = { ...(near ? { near: "true" } : {}), ...(number === undefined ? {} : { video: String(number) }) };
  const answer = await fetch(`frame/${index}.jpg?${new URLSearchParams(which)}`, { signal });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `frame ${index} cannot be read`);
  return createImageBitmap(await answer.blob());
}

export const frameImages = new Frames();
