// Guides over the film, which help to compose and to place shapes; exports have none.

/** share of the film inside of the action and title safe areas (SMPTE ST 2046-1) */
const SAFE = [0.93, 0.9];

/** What a person may choose: id and name. @type {[string, string][]} */
export const GUIDES = [
  ["none", "none"],
  ["thirds", "thirds"],
  ["centre", "centre"],
  ["safe", "safe areas"],
];

/** shares of the film at which lines cross it, by kind @type {Record<string, number[]>} */
const LINES = { thirds: [1 / 3, 2 / 3], centre: [1 / 2] };

/**
 * Draw guides, light beside dark so that they show on any film.
 * @param {CanvasRenderingContext2D} context @param {number} width @param {number} height of the film
 * @param {string} kind @param {number} pixel of the screen, in pixels of the film
 */
export function drawGuides(context, width, height, kind, pixel) {
  const path = new Path2D();
  if (kind === "safe")
    for (const share of SAFE)
      path.rect((width * (1 - share)) / 2, (height * (1 - share)) / 2, width * share, height * share);
  for (const share of LINES[kind] ?? []) {
    path.moveTo(width * share, 0);
    path.lineTo(width * share, height);
    path.moveTo(0, height * share);
    path.lineTo(width, height * share);
  }
  for (const [colour, lineWidth] of /** @type {[string, number][]} */ ([
    ["#0008", 3],
    ["#fffb", 1],
  ])) {
    context.strokeStyle = colour;
    context.lineWidth = lineWidth * pixel;
    context.stroke(path);
  }
}
