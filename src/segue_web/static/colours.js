// Colours and hatching that tell objects apart, also for the colour-blind.

/**
 * Colours that people with each kind of colour blindness tell apart: they differ by 33 in CIELAB, as
 * tests/segue_web/project/test_colours.py computes it; the first ones differ by more.
 */
export const SAFE = [
  "#eb8900",
  "#0000ff",
  "#76ffeb",
  "#76143b",
  "#622789",
  "#b19d76",
  "#b10000",
  "#d84eff",
  "#c4ff89",
  "#4e9db1",
];

/** Which of the colours an object or a class has, by its place from 0 on. */
export const safeColour = (/** @type {number} */ place) => SAFE[place % SAFE.length];

/** ways to hatch: a pixel at a place is on a line where this is a multiple of the distance of lines
 * @type {((x: number, y: number) => number)[]}
 */
const HATCHES = [(x, y) => x + y, (x, y) => x - y, (_, y) => y, (x) => x];

/** one more way to hatch: lines in two directions, so that there are as many as objects have neighbours */
export const NUM_HATCHES = HATCHES.length + 1;

/**
 * Whether a pixel is on a line of a hatch. @param {number} hatch from 0 on @param {number} x @param {number} y
 * @param {number} apart pixels from one line to the next
 */
export function isHatched(hatch, x, y, apart) {
  const on = (/** @type {number} */ place) => (((place % apart) + apart) % apart) * 3 < apart;
  const way = HATCHES[hatch];
  return way ? on(way(x, y)) : on(x) || on(y);
}
