// What the page of cameras knows: how they are, their newest images, and what is shown of them.

import { press } from "./dom.js";
import { Store } from "./store.js";

/**
 * @typedef {import("./zones.js").Zone} Zone
 * @typedef {{status: "starting" | "online" | "lost", since: string, fps: number, frames: number, delay: number,
 *   dropped: number,
 *   damaged: number, reconnects: number, restarts: number, events: number, undelivered: number, armed: boolean,
 *   blind: boolean, recording: string, error: string, disk_problem: string,
 *   zones: Zone[], ignored: Zone[], heights: [number, number][],
 *   scene: {number: number, box: [number, number, number, number]}[],
 *   size: [number, number] | null, disk_used: number, disk_per_day: number, disk_days_left: number | null}} State
 * @typedef {"zones" | "ignored" | "heights"} Kind
 */

/** the part of a change that only what draws images hears of */
export const IMAGE = "image";

/** whether the page is read-only */
export const looks = "look" in document.body.dataset;

class Cameras extends Store {
  /** @type {Record<string, State>} */
  states = {};
  /** newest images by camera @type {Map<string, ImageBitmap>} */
  images = new Map();
  /** what is shown: wall, camera, events, counts or health */
  view = "wall";
  /** the camera in it */
  chosen = "";
  zonesShown = true;

  /** state of the selected camera @returns {State | undefined} */
  get state() {
    return this.states[this.chosen];
  }

  setImage(/** @type {string} */ name, /** @type {ImageBitmap} */ image) {
    this.images.get(name)?.close(); // nothing is drawn between these two
    this.images.set(name, image);
  }

  toggleZones() {
    this.zonesShown = !this.zonesShown;
    press("zones", this.zonesShown);
    this.changed(IMAGE);
  }
}

export const cameras = new Cameras();
