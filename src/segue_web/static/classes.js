// The class of the chosen object: a field with the classes that were given, or that others have already.

import { element, make } from "./panels.js";

/**
 * Tie the field to the state.
 * @param {import("./state.js").State} state
 * @param {(id: number, values: object) => void} change
 */
export function tieClass(state, change) {
  const field = /** @type {HTMLInputElement} */ (element("class"));
  const save = () => {
    const item = state.chosenObject;
    if (item && field.value.trim() !== item.category) change(item.id, { category: field.value.trim() });
  };
  field.onchange = save;
  field.onkeydown = (event) => {
    if (event.key === "Escape") field.value = state.chosenObject?.category ?? "";
    if (event.key === "Enter" || event.key === "Escape") field.blur();
  };
}

/** @param {import("./state.js").State} state */
export function showClass(state) {
  const item = state.chosenObject;
  const field = /** @type {HTMLInputElement} */ (element("class"));
  element("class-row").hidden = !item || state.mode !== "annotate";
  if (document.activeElement !== field) field.value = item?.category ?? "";
  field.disabled = Boolean(item?.locked);
  const used = state.objects.map((other) => other.category ?? "").filter((name) => name);
  const known = state.classes.length ? state.classes : [...new Set(used)];
  const list = element("classes");
  if (list.dataset.known === known.join()) return;
  list.dataset.known = known.join();
  list.replaceChildren(...known.map((name) => make("option", { value: name })));
}
