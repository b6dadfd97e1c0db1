// Exposure and gamma of the film on the screen; masks, exports and what networks see stay as they are.

import { drawing } from "./paint.js";

/** gamma of the light that a film's values stand for, nearly */
const LIGHT = 2.2;

/**
 * What each of the 256 values becomes. @param {number} exposure stops: 1 doubles the light @param {number} gamma above
 * 1 brightens what is dark
 */
export const tableOf = (exposure, gamma) =>
  Uint8ClampedArray.from({ length: 256 }, (_, value) => {
    const light = (value / 255) ** LIGHT * 2 ** exposure;
    return Math.round(255 * Math.min(1, light) ** (1 / (LIGHT * gamma)));
  });

/** the image that was graded last, how, and what came of it
 * @type {{image: ImageBitmap | null, how: string, canvas: HTMLCanvasElement | null}}
 */
const last = { image: null, how: "", canvas: null };

/** An image with an exposure and a gamma. @param {ImageBitmap} image @param {number} exposure @param {number} gamma */
export function graded(image, exposure, gamma) {
  if (exposure === 0 && gamma === 1) return image;
  const how = `${exposure} ${gamma}`;
  const canvas = (last.canvas ??= document.createElement("canvas"));
  if (last.image === image && last.how === how) return canvas;
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = drawing(canvas);
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, image.width, image.height);
  const [{ data }, table] = [pixels, tableOf(exposure, gamma)];
  for (let i = 0; i < data.length; i += 4) {
    data[i] = table[data[i]];
    data[i + 1] = table[data[i + 1]];
    data[i + 2] = table[data[i + 2]];
  }
  context.putImageData(pixels, 0, 0);
  Object.assign(last, { image, how });
  return canvas;
}
