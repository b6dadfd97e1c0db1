// Masks as images: areas with a tint, and a rim.

import { isHatched } from "./colours.js";
import { maskBox } from "./runs.js";

/** Width of the rims in a video of a size. */
export const rimOf = (/** @type {number} */ width, /** @type {number} */ height) =>
  Math.max(1, Math.round(Math.min(width, height) / 360));

/** A mask within the box around it, as its outline is made of. */
export function boxed(/** @type {string} */ counts, /** @type {number} */ height) {
  const { inside, x, y, width, height: rows } = maskBox(counts, height);
  return { inside, x, y, image: { width, height: rows } };
}

/**
 * The outline of a mask as a path along the sides of its pixels, in pixels of the video.
 * @param {{inside: Uint8Array, x: number, y: number, image: {width: number, height: number}}} mask
 */
export function outlineOf({ inside, x: left, y: top, image: { width, height } }) {
  const path = new Path2D();
  const at = (/** @type {number} */ x, /** @type {number} */ y) =>
    x >= 0 && y >= 0 && x < width && y < height ? inside[y * width + x] : 0;
  for (let y = 0; y <= height; y++) {
    for (let x = 0, from = -1; x <= width; x++) {
      const isSide = x < width && at(x, y) !== at(x, y - 1);
      if (isSide && from < 0) from = x;
      if (!isSide && from >= 0) {
        path.moveTo(left + from, top + y);
        path.lineTo(left + x, top + y);
        from = -1;
      }
    }
  }
  for (let x = 0; x <= width; x++) {
    for (let y = 0, from = -1; y <= height; y++) {
      const isSide = y < height && at(x, y) !== at(x - 1, y);
      if (isSide && from < 0) from = y;
      if (!isSide && from >= 0) {
        path.moveTo(left + x, top + from);
        path.lineTo(left + x, top + y);
        from = -1;
      }
    }
  }
  return path;
}

/** What draws on a canvas. @param {HTMLCanvasElement} canvas */
export function drawing(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no images");
  return context;
}

/** What draws on a canvas, which has the pixels of its place on the page now and is empty. */
export function cleared(/** @type {HTMLCanvasElement} */ canvas) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((length) =>
    Math.max(1, Math.round(length * devicePixelRatio)),
  );
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = drawing(canvas);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** pixels from one line of a hatch to the next, in a small video */
const HATCH = 9;
/** what is left of a mask between the lines of its hatch */
const BETWEEN = 0.25;

/** Pixels from one line of a hatch to the next in a video of a size. */
export const hatchOf = (/** @type {number} */ width, /** @type {number} */ height) =>
  Math.max(HATCH, Math.round(Math.min(width, height) / 40));

/** the least luminance of a colour whose rim has a dark line beside it, so that it is seen on light places */
const LIGHT = 0.5;

/** The luminance of a colour, from 0 to 1 (Rec. 709). */
const luminance = (/** @type {number} */ rgb) =>
  (0.2126 * (rgb >> 16) + 0.7152 * ((rgb >> 8) & 255) + 0.0722 * (rgb & 255)) / 255;

/** An image of a mask, as large as the box around it, and which of its pixels belong to it; no rim of width 0. */
export function paintedMask(
  /** @type {ReturnType<typeof maskBox>} */ box,
  /** @type {number} */ rim,
  /** @type {string} */ colour,
  /** @type {number} */ alpha,
  /** @type {number | null} */ hatch = null,
  apart = HATCH,
) {
  const image = document.createElement("canvas");
  [image.width, image.height] = [box.width, box.height];
  const context = drawing(image);
  const pixels = context.createImageData(box.width, box.height);
  const words = new Uint32Array(pixels.data.buffer);
  const rgb = parseInt(colour.slice(1), 16);
  const bgr = (rgb >> 16) | (rgb & 0xff00) | ((rgb & 255) << 16);
  const [area, edge, between] = [alpha, 1, alpha * BETWEEN].map((share) => (((255 * share) << 24) | bgr) >>> 0);
  const { inside, width } = box;
  const isInner = (
    /** @type {number} */ i,
    /** @type {number} */ x,
    /** @type {number} */ y,
    /** @type {number} */ by,
  ) =>
    x >= by &&
    y >= by &&
    x < width - by &&
    y < box.height - by &&
    inside[i - by] &&
    inside[i + by] &&
    inside[i - by * width] &&
    inside[i + by * width];
  const [dark, beside] = [0xaa000000, rim && luminance(rgb) > LIGHT ? 2 * rim : 0];
  for (let y = 0, i = 0; y < box.height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!inside[i]) continue;
      words[i] = edge;
      if (!isInner(i, x, y, rim)) continue;
      if (beside && !isInner(i, x, y, beside)) words[i] = dark;
      else words[i] = hatch === null || isHatched(hatch, x + box.x, y + box.y, apart) ? area : between;
    }
  }
  context.putImageData(pixels, 0, 0);
  return { image, inside, x: box.x, y: box.y };
}

/** What the colours of a comparison mean. */
export const DIFFERENCE = [
  { name: "hit", colour: "#8fe3a2" },
  { name: "missed", colour: "#2f62e0" },
  { name: "false alarm", colour: "#d81400" },
];

/** What the colours of a changed mask mean. */
export const CHANGE = [
  { name: "added", colour: "#3a86ff" },
  { name: "removed", colour: "#ff9f1c" },
];

/** The outlines of masks on neighbouring frames: how far away these are. */
export const NEIGHBOURS = [
  { name: "previous", colour: "#3a86ff", step: -1 },
  { name: "next", colour: "#ff9f1c", step: 1 },
];

/** Begin a path along corners. */
export function along(/** @type {CanvasRenderingContext2D} */ context, /** @type {number[][]} */ corners) {
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x, y);
}

/** Draw the path, or another one, in a colour, on a dark line that is wider. */
export function outline(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ pixel,
  /** @type {string} */ colour,
  wide = 1.5,
  path = /** @type {Path2D | null} */ (null),
) {
  for (const [tone, width] of /** @type {[string, number][]} */ ([
    ["#000a", wide + 2],
    [colour, wide],
  ])) {
    context.lineWidth = width * pixel;
    context.strokeStyle = tone;
    if (path) context.stroke(path);
    else context.stroke();
  }
}

/** A disk with a rim as it is set. */
export function disk(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ radius,
  /** @type {string} */ colour,
) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fillStyle = colour;
  context.fill();
  context.stroke();
}

/** A click: a plus or a minus in a disk. */
export function point(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {boolean} */ positive,
  /** @type {string} */ colour,
  /** @type {number} */ pixel,
) {
  context.lineWidth = 2 * pixel;
  context.strokeStyle = positive ? "#fff" : colour;
  disk(context, x, y, 7 * pixel, positive ? colour : "#14161a");
  write(context, positive ? "+" : "−", x, y, pixel);
}

/** The font of names in the image. */
export const LABEL = (/** @type {number} */ pixel) => `600 ${12 * pixel}px system-ui`;

/** A text that can be read on any image. */
export function write(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {string} */ text,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ pixel,
  align = /** @type {CanvasTextAlign} */ ("center"),
  colour = "#fff",
) {
  context.font = LABEL(pixel);
  context.textBaseline = "middle";
  context.textAlign = align;
  context.lineWidth = 3 * pixel;
  context.strokeStyle = "#000b";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
