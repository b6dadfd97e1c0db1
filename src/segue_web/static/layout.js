// Room for the image: the panels at the side and the timeline are dragged and folded, which is remembered.

import { listenDrags } from "./controls.js";
import { element, placeNotices } from "./dom.js";
import { remember } from "./link.js";
import { state } from "./state.js";
import { timelineHeight } from "./timeline.js";
import { view } from "./view.js";

/**
 * What an edge moves: settings of its size and of whether it is folded, and the sizes that it may have.
 * @typedef {{size: string, folded: string, least: number, most: () => number, usual: () => number, at:
 *   (event: PointerEvent) => number, keys: string[]}} Edge
 */

/** @typedef {"side" | "timeline"} EdgeName */
/** @type {EdgeName[]} */
const NAMES = ["side", "timeline"];
/** @type {Record<EdgeName, Edge>} */
const EDGES = {
  side: {
    size: "sideWidth",
    folded: "sideFolded",
    least: 230,
    most: () => Math.max(288, innerWidth * 0.5),
    usual: () => (matchMedia("(min-width: 2400px) and (min-height: 1300px)").matches ? 380 : 288), // as the styles
    at: (event) => innerWidth - event.clientX,
    keys: ["ArrowRight", "ArrowLeft"],
  },
  timeline: {
    size: "timelineHeight",
    folded: "timelineFolded",
    least: 38,
    most: () => Math.max(104, innerHeight * 0.6),
    // As high as its rows, but for what the image needs to have half of the window, or all of its width.
    usual: () =>
      Math.min(timelineHeight(Math.max(1, state.listed.length)), Math.max(innerHeight * 0.12, heightBesideImage())),
    at: (event) => innerHeight - event.clientY,
    keys: ["ArrowDown", "ArrowUp"],
  },
};

/** What an image that is as wide as its canvas leaves of the height, in pixels, the timeline included. */
function heightBesideImage() {
  const canvas = view.canvas.getBoundingClientRect();
  const timeline = element("timeline-box").getBoundingClientRect();
  return canvas.height + timeline.height - view.heightAt(canvas.width);
}

const sizeOf = (/** @type {Edge} */ { size, least, most, usual }) =>
  Math.round(Math.min(most(), Math.max(least, Number(state.settings[size]) || usual())));

const choiceOf = (/** @type {Edge} */ { size, folded }) => [state.settings[size], state.settings[folded]];

/** what was laid out last, and what a person had chosen of it */
let [shown, chosen] = ["", ""];

/** Give panels and timeline the room that is wanted; an image that fits the window fits what is left of it. */
export function layOut() {
  const wanted = NAMES.map((name) => ({
    name,
    folded: Boolean(state.settings[EDGES[name].folded]),
    size: sizeOf(EDGES[name]),
  }));
  const text = JSON.stringify(wanted);
  if (text === shown) return;
  for (const { name, folded, size } of wanted) {
    document.body.classList.toggle(`${name}-folded`, folded);
    document.documentElement.style.setProperty(`--${name}-size`, `${size}px`);
    const edge = element(`${name}-edge`);
    edge.setAttribute("aria-valuenow", String(folded ? 0 : size));
    edge.setAttribute("aria-valuemax", String(Math.round(EDGES[name].most())));
  }
  document.documentElement.style.setProperty(
    "--film-aspect",
    String((state.video.width * state.video.pixel_aspect) / state.video.height),
  );
  placeNotices();
  shown = text;
  const before = chosen;
  chosen = JSON.stringify([innerWidth, innerHeight, ...Object.values(EDGES).map(choiceOf)]);
  // A changed number of rows does not move the image, which a person may be about to click on.
  view.resize(chosen !== before);
}

/** Fold what an edge moves, or bring it back. */
export function fold(/** @type {EdgeName} */ name, folded = !state.settings[EDGES[name].folded]) {
  if (Boolean(state.settings[EDGES[name].folded]) === folded) return;
  remember(EDGES[name].folded, folded);
  layOut();
}

/** All of the room to the image; again: as before. */
export function foldAll() {
  const folded = Object.values(EDGES).some((edge) => !state.settings[edge.folded]);
  for (const name of NAMES) fold(name, folded);
}

function resize(/** @type {EdgeName} */ name, /** @type {number} */ size) {
  const edge = EDGES[name];
  if (size < edge.least / 2) {
    fold(name, true);
    return;
  }
  fold(name, false);
  state.settings[edge.size] = size;
  layOut();
}

for (const name of NAMES) {
  const node = element(`${name}-edge`);
  const edge = EDGES[name];
  let beside = 0; // what lies between the pointer and the end of what is resized
  const press = (/** @type {PointerEvent} */ event) => {
    event.preventDefault();
    node.focus();
    beside = edge.at(event) - (state.settings[edge.folded] ? 0 : sizeOf(edge));
    return true;
  };
  const drag = (/** @type {PointerEvent} */ event, /** @type {boolean} */ isDragging) => {
    if (isDragging && edge.at(event) - beside !== sizeOf(edge)) resize(name, edge.at(event) - beside);
    if (!isDragging) remember(edge.size, sizeOf(edge));
  };
  listenDrags(node, drag, press);
  node.ondblclick = () => fold(name);
  node.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    const way = edge.keys.indexOf(event.key);
    if (event.key === "Enter") fold(name);
    else if (way >= 0) {
      resize(name, sizeOf(edge) + (way ? 16 : -16));
      remember(edge.size, sizeOf(edge));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
}
addEventListener("resize", () => {
  layOut();
  placeNotices();
});
state.listen(() => {
  if (state.mode !== "loading") layOut();
});
