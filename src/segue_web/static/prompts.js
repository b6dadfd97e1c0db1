// Prompts, corners and names over the masks, in pixels of the video.

import { short } from "./dom.js";
import { disk, outline, point, write } from "./paint.js";
import { pinsOn } from "./people.js";
import { state } from "./state.js";

/** Clicks and boxes of a frame; those of unselected objects are faint. */
export function drawPrompts(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {import("./state.js").FrameData} */ data,
  /** @type {number} */ pixel,
) {
  for (const [id, prompts] of Object.entries(data.prompts)) {
    const item = state.objects.find((other) => other.id === Number(id));
    if (!item || !state.isShown(item)) continue;
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

/** pixels of the page around a pin that belong to it */
const PIN = 11;

/** The comment on a place of the image under a pointer. */
export const pinAt = (/** @type {{x: number, y: number}} */ at, /** @type {number} */ pixel) =>
  pinsOn(state.comments, state.frame).find(({ x, y }) => Math.hypot(x - at.x, y - at.y) < PIN * pixel);

/** Open comments on places of the image; the text of the one under the pointer is shown. */
export function drawPins(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {{x: number, y: number} | null} */ pointer,
  /** @type {number} */ pixel,
) {
  for (const { x, y } of pinsOn(state.comments, state.frame)) {
    context.lineWidth = 2 * pixel;
    context.strokeStyle = "#000";
    disk(context, x, y, 8 * pixel, "#ffbe4d");
    write(context, "!", x, y, pixel);
  }
  const under = pointer && pinAt(pointer, pixel);
  if (under) write(context, under.text.slice(0, 60), under.x + 14 * pixel, under.y, pixel, "left");
}

/** The outline of a shape, with its curves. @param {number[][]} corners */
export function pathOf(corners) {
  const path = new Path2D();
  corners.forEach(([x, y], i) => {
    const [px, py, , , outX, outY] = corners[(i + corners.length - 1) % corners.length];
    if (i === 0) path.moveTo(x, y);
    else path.bezierCurveTo(px + outX, py + outY, x + corners[i][2], y + corners[i][3], x, y);
  });
  const [first, last] = [corners[0], corners[corners.length - 1]];
  path.bezierCurveTo(
    last[0] + last[4],
    last[1] + last[5],
    first[0] + first[2],
    first[1] + first[3],
    first[0],
    first[1],
  );
  path.closePath();
  return path;
}

/**
 * Shapes with their corners and handles: filled corners are those of a key, and a shape that is off is dashed.
 * @param {CanvasRenderingContext2D} context @param {import("./state.js").ShapeHere[]} shapes @param {number} pixel
 * @param {string} colour
 */
export function drawShapes(context, shapes, pixel, colour) {
  for (const { corners, on, key } of shapes) {
    context.setLineDash(on ? [] : [5 * pixel, 4 * pixel]);
    outline(context, pixel, colour, 1.5, pathOf(corners));
    context.setLineDash([]);
    context.lineWidth = 1.5 * pixel;
    for (const [x, y, ...handles] of corners) {
      context.strokeStyle = "#000";
      for (const part of [0, 2]) {
        const [dx, dy] = handles.slice(part);
        if (!dx && !dy) continue;
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(x + dx, y + dy);
        context.stroke();
        disk(context, x + dx, y + dy, 3 * pixel, "#fff");
      }
      context.beginPath();
      context.rect(x - 3.5 * pixel, y - 3.5 * pixel, 7 * pixel, 7 * pixel);
      context.fillStyle = key ? "#fff" : "#888";
      context.fill();
      context.stroke();
    }
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
