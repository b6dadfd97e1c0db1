// Keys: commands, tools, objects by number, and the cross that stands in for a pointer.

import { commands } from "./commands.js";
import { isMenuOpen } from "./menus.js";
import { element } from "./dom.js";
import { remember } from "./link.js";
import { keysOf, pressedKeys } from "./own_keys.js";
import { state } from "./state.js";
import { TOOLS, tools } from "./tools.js";
import { view } from "./view.js";

/** where keys move the cross @type {Record<string, [number, number]>} */
const STEPS = { w: [0, -1], a: [-1, 0], s: [0, 1], d: [1, 0] };

document.addEventListener("keydown", onKey);
// The frame around the image is for those who go through the page by keys, not for a click and a shortcut.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key === "Tab") document.body.dataset.focus = "keys";
  },
  true,
);
document.addEventListener(
  "pointerdown",
  () => {
    delete document.body.dataset.focus;
  },
  true,
);

function onKey(/** @type {KeyboardEvent} */ event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape" && (isMenuOpen() || tools.giveUp())) return;
  if (element("dialog").hasAttribute("open") || document.querySelector(".question")) return;
  const typing = target.matches("input:not([type=range]):not([type=checkbox]):not([type=color]), select, textarea");
  if (typing || event.isComposing) {
    if (event.key === "Escape" && !target.onkeydown) target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey) {
    /** @type {Record<string, string>} */
    const names = { z: event.shiftKey ? "redo" : "undo", y: "redo", c: "copyMask", v: "pasteMask" };
    const command = state.mode === "annotate" && commands[names[event.key.toLowerCase()]];
    if (!command || (event.key.toLowerCase() === "c" && getSelection()?.toString())) return;
    event.preventDefault();
    if (!command.can || command.can()) command.run();
    return;
  }
  if (event.altKey) return;
  const pressing =
    target.matches("button, a, label, [type=checkbox], [type=color]") && (event.key === " " || event.key === "Enter");
  if (pressing || (target.matches("[type=range]") && event.key.startsWith("Arrow"))) return;
  const pressed = pressedKeys(event);
  const tool = state.mode === "annotate" && TOOLS.find((item) => keysOf(item.id, item.key) === pressed);
  const steps = STEPS[event.key.toLowerCase()];
  if (state.mode === "annotate" && steps) {
    const by = (event.shiftKey ? 24 : 4) * Math.max(1, Math.round(1 / view.scale));
    tools.moveCross(steps[0] * by, steps[1] * by);
    document.body.dataset.focus = "keys";
    view.canvas.focus({ preventScroll: true });
  } else if (state.mode === "annotate" && event.key === "Enter") tools.useCross();
  else if (state.mode === "compare" && target === view.canvas && event.key.startsWith("Page")) {
    state.split = Math.min(1, Math.max(0, state.split + (event.key === "PageUp" ? -0.05 : 0.05)));
    state.changed();
  } else if (event.shiftKey && /^Digit[0-9]$/.test(event.code) && !/^[0-9]$/.test(event.key))
    remember("opacity", (Number(event.code.slice(5)) || 10) / 10);
  else if (/^[1-9]$/.test(event.key)) {
    const item = state.objects.find(({ id }) => id === Number(event.key));
    if (item) state.choose(item.id);
  } else if (tool) tools.use(tool.id);
  else {
    const [, command] = Object.entries(commands).find(([name, item]) => keysOf(name, item.keys) === pressed) ?? [];
    if (!command) return;
    if (!command.can || command.can()) command.run();
  }
  event.preventDefault();
}
