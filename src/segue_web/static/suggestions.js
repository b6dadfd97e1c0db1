// Objects that a detector finds on a frame, and those of them that are taken.

import { element, make, notice } from "./dom.js";
import { ask, remember } from "./link.js";
import { state } from "./state.js";

const [select, text] = [element("detector"), element("wanted")];
text.onkeydown = (/** @type {KeyboardEvent} */ event) => {
  if (event.key === "Enter") void find();
};
select.onchange = () => remember("detector", select.value);

export function offerDetectors(/** @type {string[]} */ names) {
  select.replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
  if (names.includes(state.settings.detector)) select.value = state.settings.detector;
}

/** Suggest objects on this frame, of a detector that becomes the selected one; without one of the selected. */
export async function find(name = "") {
  if (state.finding) return;
  if (name) select.value = name;
  const [{ frame }, detector, wanted] = [state, select.value, name ? "" : text.value.trim()];
  Object.assign(state, { finding: detector, found: [], foundFrame: -1, list: "found" });
  state.changed();
  const answer = await ask("find", { frame, detector, text: wanted });
  state.finding = "";
  state.changed();
  if (!answer) return;
  Object.assign(state, {
    found: answer.found,
    foundFrame: frame,
    foundAt: performance.now(),
    chosen: new Set(answer.found.keys()),
  });
  const lines = [
    ...(answer.detector === detector
      ? []
      : [`The detector ${detector} accepts no text; ${answer.detector} searched for “${wanted}”.`]),
    ...(answer.found.length ? [] : [`${answer.detector} found ${wanted ? `no ${wanted}` : "nothing"} on this frame.`]),
  ];
  if (lines.length) notice(lines.join(" "));
}

export async function adopt() {
  const { found, foundFrame: frame, chosen } = state;
  if (frame < 0) return;
  Object.assign(state, { found: [], foundFrame: -1 }); // at once: the same are not added twice
  state.changed();
  if ((await ask("adopt", { frame, chosen: found.filter((_, i) => chosen.has(i)) })) || state.foundFrame >= 0) return;
  Object.assign(state, { found, foundFrame: frame, chosen });
  state.changed();
}
