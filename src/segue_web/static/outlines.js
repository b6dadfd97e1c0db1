// Outlines of objects over a clip: they stand beside its images.

import { make, within } from "./dom.js";
import { label } from "./happenings.js";
import { along, cleared, outline } from "./paint.js";
import { fitted } from "./places.js";

/**
 * @typedef {[number, string | null, number[][]]} Outline id, class, and corners of the parts, x and y by turns
 * @typedef {{steps: number, frames: [number, Outline[]][]}} Track what is outlined from some seconds on
 */

const COLOURS = ["#ffb454", "#7dd3fc", "#8ce99a", "#f783ac", "#ffe066", "#b197fc"];

/** seconds for which an outline is shown without a newer one */
const STAYS = 1;

/** The outlines at a moment of a clip. @param {Track} track @param {number} time @returns {Outline[]} */
export function outlinesAt({ frames }, time) {
  let [low, high] = [0, frames.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle][0] <= time + 1e-3) low = middle + 1;
    else high = middle;
  }
  const frame = frames[low - 1];
  return frame && time - frame[0] < STAYS ? frame[1] : [];
}

/**
 * Draw the outlines of a clip over it as it plays, where it has some.
 * @param {HTMLElement} film what has the clip @param {HTMLVideoElement} clip @param {string} address of the outlines
 */
export async function showOutlines(film, clip, address) {
  const response = await fetch(address).catch(() => null);
  if (response?.status !== 200) return;
  /** @type {Track} */
  const track = await response.json();
  const canvas = make("canvas", { className: "outlines", "aria-hidden": "true" });
  film.append(canvas);
  film.dataset.outlines = String(track.frames.length);
  const draw = () => {
    if (!within(document.body, ".outlines")) return; // it is closed
    requestAnimationFrame(draw);
    drawOutlines(canvas, [clip.videoHeight, clip.videoWidth], track.steps, outlinesAt(track, clip.currentTime));
  };
  draw();
}

/**
 * @param {HTMLCanvasElement} canvas @param {[number, number]} size height and width of the clip
 * @param {number} steps @param {Outline[]} outlines
 */
function drawOutlines(canvas, size, steps, outlines) {
  const [context, pixel] = [cleared(canvas), devicePixelRatio];
  if (!size[0]) return;
  const { left, top, width, height } = fitted(size, [canvas.height, canvas.width]);
  for (const [id, name, parts] of outlines) {
    const colour = COLOURS[id % COLOURS.length];
    let [x, y] = [0, Infinity];
    for (const part of parts) {
      const corners = [];
      for (let i = 0; i < part.length; i += 2)
        corners.push([left + (part[i] * width) / steps, top + (part[i + 1] * height) / steps]);
      along(context, corners);
      context.closePath();
      outline(context, pixel, colour, 2);
      for (const [across, down] of corners) if (down < y) [x, y] = [across, down];
    }
    if (parts.length) label(context, `${name ?? ""} ${id}`, x, y - 9 * pixel, pixel, colour);
  }
}
