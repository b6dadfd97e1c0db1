// Prompts, corners and names over the masks, in pixels of the video.

import { short } from "./dom.js";
import { outline, point, write } from "./paint.js";
import { state } from "./state.js";

/** Clicks and boxes of a frame; those of other objects than the chosen one are faint. */
export function drawPrompts(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {import("./state.js").FrameData} */ data,
  /** @type {number} */ pixel,
) {
  for (const [id, prompts] of Object.entries(data.prompts)) {
    const item = state.objects.find((other) => other.id === Number(id));
    if (!item?.visible) continue;
    const chosen = item.id === state.object;
    context.globalAlpha = chosen ? 1 : 0.55;
    if (prompts.box) {
      const [x0, y0, x1, y1] = prompts.box;
      context.setLineDash([6 * pixel, 4 * pixel]);
      context.lineWidth = 1.5 * pixel;
      context.strokeStyle = item.colour;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      context.setLineDash([]);
    }
    for (const [x, y, positive] of prompts.points) point(context, x, y, positive, item.colour, pixel);
    context.globalAlpha = 1;
  }
}

/** The cross that the keyboard moves. */
export function drawCross(/** @type {CanvasRenderingContext2D} */ context, /** @type {number} */ pixel) {
  if (!state.cursor) return;
  const { x, y } = state.cursor;
  context.beginPath();
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]) {
    context.moveTo(x + 4 * dx * pixel, y + 4 * dy * pixel);
    context.lineTo(x + 16 * dx * pixel, y + 16 * dy * pixel);
  }
  outline(context, pixel, "#fff", 1);
}

/** Corners of an outline, which can be moved. */
export function drawCorners(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number[][]} */ corners,
  /** @type {number} */ pixel,
) {
  for (const [x, y] of corners) {
    context.fillStyle = "#fff";
    context.strokeStyle = "#000a";
    context.lineWidth = pixel;
    context.fillRect(x - 3 * pixel, y - 3 * pixel, 6 * pixel, 6 * pixel);
    context.strokeRect(x - 3 * pixel, y - 3 * pixel, 6 * pixel, 6 * pixel);
  }
}

/** The name of the object under the pointer. */
export function drawName(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {{x: number, y: number, name: string}} */ named,
  /** @type {number} */ pixel,
) {
  write(context, short(named.name), named.x + 18 * pixel, named.y - 26 * pixel, pixel, "left");
}
