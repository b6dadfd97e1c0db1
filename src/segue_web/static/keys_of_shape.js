// The panel of the selected object's shapes: keys, motion of the corners, and where it is off.

import { commandButton, element, span } from "./dom.js";
import { setShapeKey, trackPlane } from "./edits.js";
import { shapes } from "./shape.js";
import { state } from "./state.js";

/** The key of this frame, or the one before it: frame, motion and whether the shape is on. */
export function keyHere() {
  const keys = shapes.chosen?.keys ?? [];
  const before = keys.filter(([frame]) => frame <= state.frame);
  return { at: keys.find(([frame]) => frame === state.frame), before: before.at(-1) };
}

element("shape-motion").onchange = () => {
  const { chosen } = shapes;
  const { before } = keyHere();
  const motion = element("shape-motion").value;
  element("shape-motion").blur();
  if (!chosen || !before) return;
  if (motion === "plane") void trackPlane(chosen.id, before[0], state.wanted[1]);
  else setShapeKey(chosen.id, { motion }, null, before[0]);
};

/** Show the keys of the selected object's shape. */
export function showShape() {
  const { chosen } = shapes;
  const { at, before } = keyHere();
  const parts = [];
  if (chosen) {
    const count = shapes.known.length;
    parts.push(chosen.keys.length === 1 ? "1 key" : `${chosen.keys.length} keys`);
    if (at) parts.push("one here");
    if (count > 1) parts.push(`${count} shapes`);
  }
  element("shape-text").textContent = parts.join(", ");
  element("shape-motion").disabled = !before || !state.editable;
  if (document.activeElement !== element("shape-motion")) element("shape-motion").value = before?.[1] ?? "linear";
  const isOn = !before || before[2];
  name("shapeKey", at ? "Remove key" : "Key here");
  name("shapeOff", isOn ? "Off from here" : "On from here");
}

/** Give the button of a command another text. */
function name(/** @type {string} */ command, /** @type {string} */ text) {
  const button = commandButton(command);
  const shown = button.querySelector(".text");
  if (shown?.textContent !== text) shown?.replaceWith(span(text, "text"));
}
