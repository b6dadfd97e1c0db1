// Masks as pictures: areas with a tint, and a rim.

import { maskBox } from "./runs.js";

/** Width of the rims in a video of a size. @param {number} width @param {number} height */
export const rimOf = (width, height) => Math.max(1, Math.round(Math.min(width, height) / 360));

/** @param {string} colour @returns {[number, number, number]} */
export function rgb(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/**
 * A picture of a mask, as large as the box around it.
 * @param {string} counts its run lengths
 * @param {number} height of the video
 * @param {number} rim its width in pixels
 * @param {string} colour
 * @param {number} alpha of the area within the rim, 0 to 1
 * @returns {{picture: HTMLCanvasElement, x: number, y: number}}
 */
export function paintedMask(counts, height, rim, colour, alpha) {
  const box = maskBox(counts, height);
  const picture = painted(box.labels, box.width, box.height, (_, edge) => [...rgb(colour), edge ? 255 : 255 * alpha], rim);
  return { picture, x: box.x, y: box.y };
}

/**
 * A picture of an index mask.
 * @param {Uint16Array} labels row by row
 * @param {number} width
 * @param {number} height
 * @param {(id: number, rim: boolean) => number[] | null} colour RGBA
 * @param {number} [thick] width of the rim
 * @returns {HTMLCanvasElement}
 */
export function painted(labels, width, height, colour, thick = rimOf(width, height)) {
  const picture = document.createElement("canvas");
  picture.width = width;
  picture.height = height;
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  const image = context.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  /** @type {Map<number, number>} */
  const cache = new Map();
  /** @param {number} id @param {boolean} rim */
  const word = (id, rim) => {
    const at = 2 * id + Number(rim);
    let value = cache.get(at);
    if (value === undefined) {
      const [r, g, b, a] = colour(id, rim) ?? [0, 0, 0, 0];
      value = ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
      cache.set(at, value);
    }
    return value;
  };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const id = labels[i];
      if (!id) continue;
      const rim = x < thick || y < thick || x >= width - thick || y >= height - thick
        || labels[i - thick] !== id || labels[i + thick] !== id
        || labels[i - thick * width] !== id || labels[i + thick * width] !== id;
      words[i] = word(id, rim);
    }
  }
  context.putImageData(image, 0, 0);
  return picture;
}
