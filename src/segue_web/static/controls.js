// What players and timelines of all pages do in the same way: places that are dragged to, and keys.

import { isForeign } from "./dom.js";

/**
 * Hear where a pointer is while it drags over a part of a page, and where it is let go.
 * @param {HTMLElement} node @param {(event: PointerEvent, isDragging: boolean) => void} drag
 * @param {(event: PointerEvent) => boolean} begins whether a press begins to drag
 */
export function listenDrags(node, drag, begins = () => true) {
  node.addEventListener("pointerdown", (event) => {
    if (!begins(event)) return;
    node.setPointerCapture(event.pointerId);
    drag(event, true);
  });
  for (const kind of /** @type {const} */ (["pointermove", "pointerup"]))
    node.addEventListener(kind, (event) => {
      if (node.hasPointerCapture(event.pointerId)) drag(event, kind === "pointermove");
    });
}

/** @typedef {Record<string, (event: KeyboardEvent) => unknown>} Keys what keys do; false leaves one to others */

/** Do what a key does, if it does something. */
export function runKey(/** @type {KeyboardEvent} */ event, /** @type {Keys} */ keys) {
  if (keys[event.key] && keys[event.key](event) !== false) event.preventDefault();
}

/** Have keys do something on a page, but in its fields. @param {() => Keys} keys what they do at a moment */
export const listenKeys = (keys) => addEventListener("keydown", (event) => !isForeign(event) && runKey(event, keys()));

/** Play or pause a video, unless the key is that of a button. @param {() => unknown} toggle */
export const playKey = (toggle) => (document.activeElement?.matches("button, video") ? false : toggle());
