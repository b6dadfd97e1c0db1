// What trackings changed: how many masks, how they are shown, and whether they are accepted.

import { element, fill, make, short, span, swatch } from "./dom.js";
import { CHANGE } from "./paint.js";
import { CHANGE_VIEWS, MUCH, state } from "./state.js";

export function showChanges() {
  const { changes } = state;
  element("changes").hidden = element("legend-changed").hidden = changes.length === 0;
  if (!changes.length) return;
  element("changes-text").textContent = sentence(changes);
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

/** How many masks changed, of which objects, and how many of them much. */
function sentence(/** @type {import("./state.js").Change[]} */ changes) {
  const ids = new Set(changes.map(({ object }) => object));
  const names = state.objects.filter(({ id }) => ids.has(id)).map(({ name }) => short(name));
  const who = names.length === 1 ? names[0] : `${names.length} objects`;
  const much = changes.filter(({ agreement }) => agreement < MUCH).length;
  const masks = changes.length === 1 ? "1 mask" : `${changes.length} masks`;
  return `${who}: ${masks} changed, ${much} much (IoU with the previous mask below ${MUCH}).`;
}
