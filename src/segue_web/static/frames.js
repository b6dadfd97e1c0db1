// The images of frames: loaded around the one that is shown, and kept while there is room.

import { messageOf, notice } from "./dom.js";
import { loadFrames } from "./link.js";
import { state } from "./state.js";

const KEPT_FRAMES = 64;

class Frames {
  /** @type {Map<number, ImageBitmap>} */
  bitmaps = new Map();
  /** @type {Map<number, Promise<void>>} */
  loading = new Map();
  /** what is on the screen until the frame is there @type {ImageBitmap | null} */
  shown = null;

  /** Whether frame and masks of the moment are on the screen. */
  get ready() {
    return this.bitmaps.has(state.frame) && state.isFresh(state.frame);
  }

  /** Load what is needed around the current frame. */
  async load(/** @type {boolean} */ quick, /** @type {number} */ ahead) {
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

  fetchFrame(/** @type {number} */ index, /** @type {boolean} */ near) {
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
}

export const frameImages = new Frames();
