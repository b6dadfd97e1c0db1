// What trackings changed: how many masks, how they are shown, and whether they are accepted.

import { element, fill, make, short, span, swatch } from "./dom.js";
import { CHANGE } from "./paint.js";
import { maskBox, without } from "./runs.js";
import { CHANGE_VIEWS, MUCH, state } from "./state.js";

export function showChanges() {
  const { changes } = state;
  element("changes").hidden = element("legend-changed").hidden = changes.length === 0;
  if (!changes.length) return;
  element("changes-text").textContent = `${summary(changes)} ${pixelsHere()}`.trim();
  const [first, last] = state.wanted;
  element("changes-range").textContent = `Frames ${first} to ${last}`;
  fill(element("change-views"), state.changeView, () =>
    CHANGE_VIEWS.map(([id, textContent]) =>
      make("button", {
        textContent,
        role: "radio",
        "aria-checked": id === state.changeView,
        onclick: () => {
          state.changeView = id;
          state.changed();
        },
      }),
    ),
  );
  fill(element("change-keys"), state.changeView, () =>
    state.changeView === "difference"
      ? CHANGE.map(({ name, colour }) => make("span", { className: "key" }, [swatch(colour), span(name, "quiet")]))
      : [],
  );
}

/** the masks that were counted last, now and before, and what was said of them @type {[string[], string]} */
let counted = [[], ""];

/** The pixels that trackings added and removed on the frame that is shown, of the objects that are. */
function pixelsHere() {
  const { replaced = {}, masks = {} } = state.current ?? {};
  const here = state.objects.filter((item) => replaced[item.id] !== undefined && state.isShown(item));
  if (!here.length) return "";
  // The panel is shown after each change of the page; masks are counted once.
  const texts = here.flatMap(({ id }) => [masks[id] ?? "", replaced[id]]);
  if (texts.length === counted[0].length && texts.every((text, i) => text === counted[0][i])) return counted[1];
  const box = (/** @type {string | undefined} */ counts) => maskBox(counts ?? "", state.video.height);
  const size = (/** @type {{inside: Uint8Array}} */ { inside }) => inside.reduce((sum, pixel) => sum + pixel, 0);
  const boxes = here.map(({ id }) => [box(masks[id]), box(replaced[id])]);
  const [added, removed, before] = [
    boxes.reduce((sum, [now, old]) => sum + size(without(now, old)), 0),
    boxes.reduce((sum, [now, old]) => sum + size(without(old, now)), 0),
    boxes.reduce((sum, [, old]) => sum + size(old), 0),
  ].map((count) => count.toLocaleString("en"));
  counted = [texts, `This frame: ${added} pixels added, ${removed} removed, of ${before} before.`];
  return counted[1];
}

/** How many masks changed, of which objects, and how many of them much. */
function summary(/** @type {import("./state.js").Change[]} */ changes) {
  const ids = new Set(changes.map(({ object }) => object));
  const names = state.objects.filter(({ id }) => ids.has(id)).map(({ name }) => short(name));
  const who = names.length === 1 ? names[0] : `${names.length} objects`;
  const much = changes.filter(({ agreement }) => agreement < MUCH).length;
  const masks = changes.length === 1 ? "1 mask" : `${changes.length} masks`;
  return `${who}: ${masks} changed, ${much} much (IoU with the previous mask below ${MUCH}).`;
}
