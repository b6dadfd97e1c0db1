// What the timeline computes without a browser: frames and pixels of a range, its zoom, and its scroll bar.

/** @typedef {[number, number]} Range the first and the last frame that are shown; both may lie between frames */

/** widest area that browsers scroll reliably, in pixels */
const WIDEST = 15e6;
/** pixels between two numbers of the ruler, at least */
const APART = 90;

/** the last frame, or 1 for a video of a single one @param {number} frames */
const lastOf = (frames) => Math.max(1, frames - 1);

/** Pixels from the left of a range to a frame. @param {number} frame @param {Range} range @param {number} width */
export const pixelOf = (frame, [from, to], width) => ((frame - from) / Math.max(1e-9, to - from)) * width;

/** The frame at a share of the width of a range. @param {number} share @param {Range} range @param {number} frames */
export const frameAtShare = (share, [from, to], frames) =>
  Math.min(Math.max(Math.round(from + share * (to - from)), 0), frames - 1);

/**
 * A range of so many frames that begins at a frame, moved into the video.
 * @param {number} start @param {number} span @param {number} frames @returns {Range}
 */
export function rangeFrom(start, span, frames) {
  const from = Math.min(Math.max(0, start), Math.max(0, lastOf(frames) - span));
  return [from, Math.min(lastOf(frames), from + span)];
}

/**
 * A range that is wider or narrower by a factor; a frame of it stays where it is.
 * @param {Range} range @param {number} at @param {number} factor @param {number} frames @param {number} width
 * @returns {Range}
 */
export function zoomed([from, to], at, factor, frames, width) {
  const span = to - from;
  const least = Math.max(10, (lastOf(frames) * width) / WIDEST);
  const wanted = Math.min(lastOf(frames), Math.max(least, span * factor));
  return rangeFrom(at - ((at - from) * wanted) / span, wanted, frames);
}

/**
 * Pixels of the frames that are not shown: before the range, and of all.
 * @param {Range} range @param {number} frames @param {number} width @returns {[number, number]}
 */
export function hiddenPixels([from, to], frames, width) {
  const each = width / Math.max(1e-9, to - from);
  return [from * each, (lastOf(frames) - (to - from)) * each];
}

/**
 * The range that a scroll bar shows which was moved so far.
 * @param {number} scrolled @param {Range} range @param {number} frames @param {number} width @returns {Range}
 */
export function scrolledTo(scrolled, [from, to], frames, width) {
  const [, all] = hiddenPixels([from, to], frames, width);
  return rangeFrom((scrolled / Math.max(1, all)) * (lastOf(frames) - (to - from)), to - from, frames);
}

/**
 * The frames that the ruler names: each 1, 2 or 5 times a power of ten.
 * @param {Range} range @param {number} width @returns {number[]}
 */
export function namedFrames([from, to], width) {
  const rough = ((to - from) / width) * APART;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((n) => n * power).find((each) => each >= rough) ?? 1;
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, i) => (first + i) * step);
}
