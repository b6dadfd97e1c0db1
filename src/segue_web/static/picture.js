// The newest image of a camera on a canvas, with its zones.

import { cameras } from "./cameras.js";
import { cleared } from "./paint.js";
import { fitted } from "./places.js";
import { sceneZones } from "./scene.js";
import { drawHeights, drawIgnored, drawZones } from "./zones.js";

/**
 * @typedef {import("./cameras.js").Kind} Kind
 * @typedef {import("./zones.js").Zone} Zone
 */

/** Draw the newest image of a camera with the zones that are shown, as large as there is room; where it is then. */
export function paint(
  /** @type {HTMLCanvasElement} */ target,
  /** @type {string} */ name,
  /** @type {((kind: Kind, zone: Zone) => boolean)} */ isShown = () => true,
) {
  const { states, view, zonesShown } = cameras;
  const context = cleared(target);
  const image = cameras.images.get(name);
  /** @type {[number, number] | null | undefined} */
  const size = image ? [image.height, image.width] : states[name]?.size;
  if (!size) return { left: 0, top: 0, width: 1, height: 1 };
  const place = fitted(size, [target.height, target.width]);
  context.setTransform(1, 0, 0, 1, place.left, place.top);
  if (image) context.drawImage(image, 0, 0, place.width, place.height);
  /** @type {[number, number]} */
  const shown = [place.height, place.width];
  const shownZones = (/** @type {"zones" | "ignored"} */ kind) =>
    states[name][kind].filter((zone) => isShown(kind, zone));
  if (zonesShown) {
    const full = states[name].size ?? size;
    drawIgnored(context, [...shownZones("ignored"), ...sceneZones(states[name])], shown, full, devicePixelRatio);
    drawZones(context, shownZones("zones"), shown, full, devicePixelRatio);
    if (view === "camera") drawHeights(context, states[name].heights, shown, full, devicePixelRatio);
  }
  return place;
}
