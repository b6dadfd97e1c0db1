// Places of a camera where objects appear and disappear repeatedly: they are scene until a person rejects them.

import { looks } from "./cameras.js";
import { make, notice, tell } from "./dom.js";
import { post } from "./http.js";

/** @typedef {import("./cameras.js").State} State */

/** What a place is called. */
export const sceneName = (/** @type {number} */ number) => `scene ${number}`;

/** The places of a camera as zones. @param {State} state @returns {import("./zones.js").Zone[]} */
export const sceneZones = (state) =>
  state.scene.map(({ number, box }) => {
    const [x0, y0, x1, y1] = box.map((side) => 100 * side);
    return {
      name: sceneName(number),
      percent: true,
      points: [
        [x0, y0],
        [x1, y0],
        [x1, y1],
        [x0, y1],
      ],
    };
  });

/** Watch a place again. */
export async function reject(/** @type {string} */ camera, /** @type {number} */ number) {
  const refused = await post(`scene/${camera}`, { number }).catch((error) => error.message);
  if (refused) tell(refused);
}

/**
 * Say of places that are new that they are scene, once.
 * @param {Record<string, State>} before @param {Record<string, State>} now
 */
export function sayScene(before, now) {
  for (const [camera, { scene }] of Object.entries(now)) {
    const known = new Set(before[camera]?.scene.map(({ number }) => number));
    for (const { number } of before[camera] ? scene.filter((place) => !known.has(place.number)) : [])
      notice(
        `${camera}: objects appear and disappear repeatedly at one place. It is now scene and causes no events.`,
        "",
        looks ? [] : [make("button", { textContent: "Reject", onclick: () => void reject(camera, number) })],
      );
  }
}
