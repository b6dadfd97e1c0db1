// The tools Include and Exclude: clicks, and what is computed while the pointer rests.

import { click, outlineCandidates, rest } from "./edits.js";
import { masks } from "./masks.js";
import { point } from "./paint.js";
import { isOn, rounded } from "./places.js";
import { IMAGE, state } from "./state.js";
import { view } from "./view.js";

/** milliseconds that the pointer rests before the mask of a click there is computed */
const REST = 60;
/** and before the other masks of a click are outlined */
const REST_LONG = 500;

/**
 * @typedef {import("./places.js").Point} Point
 * @typedef {import("./edits.js").Click} Click
 */

class Clicks {
  /** points that the server has not answered yet @type {Click[]} */
  pending = [];
  /** what draws these points @type {((context: CanvasRenderingContext2D, pixel: number) => void) | null} */
  shown = null;
  /** the timers of a pointer that rests */
  resting = 0;
  restingLong = 0;

  /** A button is pressed; with ``anyway`` a click on another object does not select it. */
  press(/** @type {Point} */ at, /** @type {boolean} */ opposite, /** @type {boolean} */ anyway) {
    const include = (state.tool === "click") !== opposite;
    const other = include && !anyway ? this.otherAt(at) : undefined;
    if (other) state.choose(other.id);
    else if (isOn(at, state.video)) this.click(at, include);
  }

  /** The object that a click at a place selects; undefined if the click is a prompt. */
  otherAt(/** @type {Point} */ at) {
    const item = state.tool === "click" && !state.target.fresh ? masks.objectAt(at) : undefined;
    return item?.id === state.object ? undefined : item;
  }

  /** Wait until the pointer rests at a place, null for none; earlier waits are cancelled. */
  rest(/** @type {Point | null} */ at, /** @type {boolean} */ anyway) {
    this.stopResting();
    clearTimeout(this.restingLong);
    if (!at || state.usedTool !== "click" || !isOn(at, state.video)) return;
    if (anyway || !this.otherAt(at)) this.resting = setTimeout(() => rest(rounded(at)), REST);
    this.restingLong = setTimeout(() => void outlineCandidates(), REST_LONG);
  }

  stopResting() {
    clearTimeout(this.resting);
  }

  click(/** @type {Point} */ at, /** @type {boolean} */ positive) {
    const [x, y] = rounded(at);
    /** @type {Click} */
    const given = [x, y, positive];
    this.pending.push(given);
    const { colour } = state;
    view.draft = this.shown = (context, pixel) => {
      for (const [left, top, on] of this.pending) point(context, left, top, on, colour, pixel);
    };
    state.changed(IMAGE);
    void click([given], null).finally(() => this.answered(given));
  }

  answered(/** @type {Click} */ given) {
    this.pending = this.pending.filter((item) => item !== given);
    if (!this.pending.length && view.draft === this.shown) view.draft = null;
    state.changed(IMAGE);
  }
}

export const clicks = new Clicks();
