// Soft edges of masks as the server computes them, for the views of the matte and of the cut-out.

import { request } from "./link.js";
import { IMAGE, state } from "./state.js";

/**
 * The opacity of an object, and where it begins.
 * @typedef {{image: ImageBitmap, x: number, y: number}} SoftMask
 * @typedef {{key: string, masks: Map<number, SoftMask>}} SoftFrame
 */

/** frames whose soft masks are kept */
const KEPT = 24;

/** soft masks of frames, those asked for last at the end @type {Map<number, SoftFrame>} */
const frames = new Map();
/** whether an answer is waited for */
let isAsking = false;

/** Whether masks are shown by what is opaque. */
export const showsOpacity = () =>
  state.mode === "annotate" && (state.settings.view === "matte" || state.settings.view === "cutout");

/** Whether an object has a soft edge. */
const isSoft = (/** @type {{edge?: object}} */ { edge }) => edge !== undefined && Object.keys(edge).length > 0;

/**
 * What the soft masks of the frame are made of; empty where there are none. Objects that touch a soft one count, as
 * their opacities add up.
 */
function keyOf(/** @type {number} */ frame) {
  const masks = state.frameData.get(frame)?.masks ?? {};
  const shown = state.objects.filter(({ id }) => masks[id]);
  if (!shown.some(isSoft)) return "";
  return shown.map(({ id, edge }) => `${id} ${JSON.stringify(edge ?? {})} ${masks[id]}`).join("\n");
}

/** The soft mask of an object of this frame; until one comes for an edge that was changed, that of the one before. */
export function softMask(/** @type {number} */ id) {
  const known = frames.get(state.frame);
  const object = state.objects.find((item) => item.id === id);
  return object && (isSoft(object) || known?.key === keyOf(state.frame)) ? known?.masks.get(id) : undefined;
}

/** Ask for the soft masks of the frame that is shown, one frame at a time. */
async function ask() {
  if (isAsking) return;
  isAsking = true;
  try {
    for (let failed = ""; showsOpacity();) {
      const { frame } = state;
      const key = keyOf(frame);
      if (!key || frames.get(frame)?.key === key || failed === key) return;
      const answer = await request("soft_masks", { frame }).catch(() => null);
      const masks = answer && (await decoded(answer.soft_masks));
      if (!masks) failed = key;
      else if (keyOf(frame) === key) {
        frames.delete(frame);
        frames.set(frame, { key, masks });
        if (frames.size > KEPT) frames.delete([...frames.keys()][0]);
      }
      state.changed(IMAGE);
    }
  } finally {
    isAsking = false;
  }
}

/** @param {Record<string, {x: number, y: number, png: string}>} soft @returns {Promise<Map<number, SoftMask>>} */
async function decoded(soft) {
  const parts = Object.entries(soft).map(async ([id, { x, y, png }]) => {
    const bytes = Uint8Array.from(atob(png), (sign) => sign.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    return /** @type {[number, SoftMask]} */ ([Number(id), { image, x, y }]);
  });
  return new Map(await Promise.all(parts));
}

state.listen(() => void ask());
