// What is known of the chosen object: its class, its group and its attributes.

import { icon } from "./icons.js";
import { element, fill, make } from "./panels.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Thing} Thing
 */

/** fields with a list of what other objects have, by what they say @type {("category" | "group")[]} */
const FIELDS = ["category", "group"];

/**
 * Tie the fields to the state.
 * @param {State} state
 * @param {(id: number, values: object) => void} change
 */
export function tieAbout(state, change) {
  for (const name of FIELDS) {
    tie(input(name), () => state.chosenObject, (item) => item[name] ?? "", (item, text) => change(item.id, { [name]: text }));
  }
  const more = input("attribute");
  more.onkeydown = (event) => {
    if (event.key === "Escape") { more.value = ""; more.blur(); }
    if (event.key !== "Enter") return;
    const [name, ...rest] = more.value.split(":");
    const item = state.chosenObject;
    if (!item || !name.trim()) return;
    change(item.id, { attributes: { [name.trim()]: rest.join(":").trim() } });
    more.value = "";
  };
  element("attributes").onchange = (event) => {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (state.chosenObject) change(state.chosenObject.id, { attributes: { [field.dataset.name ?? ""]: field.value.trim() } });
  };
  element("attributes").onclick = (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("button");
    if (button && state.chosenObject) change(state.chosenObject.id, { attributes: { [button.dataset.name ?? ""]: null } });
  };
}

/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (element(id));

/**
 * Tie a field to the object that is chosen when somebody goes into it: another one may be by the time it is left.
 * @param {HTMLInputElement} field @param {() => Thing | undefined} chosen @param {(item: Thing) => string} known
 * @param {(item: Thing, text: string) => void} save
 */
function tie(field, chosen, known, save) {
  /** @type {Thing | undefined} */
  let item;
  field.onfocus = () => { item = chosen(); };
  field.onchange = () => { if (item && field.value.trim() !== known(item)) save(item, field.value.trim()); };
  field.onkeydown = (event) => {
    if (event.key === "Escape") field.value = item ? known(item) : "";
    if (event.key === "Enter" || event.key === "Escape") field.blur();
  };
}

/** @param {State} state */
export function showAbout(state) {
  const item = state.chosenObject;
  element("about").hidden = !item || state.mode !== "annotate";
  const classes = state.classes.length ? state.classes : used(state, "category");
  offer("categories", classes);
  offer("groups", used(state, "group"));
  for (const name of FIELDS) {
    if (document.activeElement !== input(name)) input(name).value = item?.[name] ?? "";
    input(name).disabled = Boolean(item?.locked);
  }
  input("attribute").disabled = Boolean(item?.locked);
  const rows = Object.entries(item?.attributes ?? {});
  fill(element("attributes"), [item?.id, item?.locked, rows], () => rows.map(([name, value]) => make("li", {}, [
    make("label", {}, [make("span", { textContent: name }), make("input", { value, maxLength: 200, disabled: item?.locked, "data-name": name })]),
    make("button", { className: "icon", disabled: item?.locked, title: `Remove ${name}`, "aria-label": `Remove ${name}`, "data-name": name }, [icon("close")]),
  ])));
}

/** @param {State} state @param {"category" | "group"} name @returns {string[]} */
function used(state, name) {
  return [...new Set(state.objects.map((other) => other[name] ?? "").filter((text) => text))];
}

/** @param {string} id @param {string[]} names */
function offer(id, names) {
  fill(element(id), names, () => names.map((name) => make("option", { value: name })));
}
