// What is known of the chosen object: its name, its class, its group and its attributes.

import { element, fill, iconButton, make, span } from "./dom.js";
import { changeObjects } from "./edits.js";
import { state } from "./state.js";

/** fields by what they say, and where the list is of what other objects have */
const FIELDS = { name: null, category: "categories", group: "groups" };

for (const name of Object.keys(FIELDS)) tie(element(name), name);
const more = element("attribute");
more.onkeydown = ({ key }) => {
  if (key === "Escape") { more.value = ""; more.blur(); }
  if (key !== "Enter") return;
  const [name, ...rest] = more.value.split(":");
  if (!state.chosenObject || !name.trim()) return;
  changeAttribute(name.trim(), rest.join(":").trim());
  more.value = "";
};

function changeAttribute(name, value) {
  if (state.chosenObject) changeObjects([state.chosenObject.id], { attributes: { [name]: value } });
}

/** Tie a field to the object that is chosen when somebody goes into it: another one may be by the time it is left. */
function tie(field, name) {
  let item;
  field.onfocus = () => { item = state.chosenObject; };
  field.onchange = () => {
    const value = field.value.trim();
    if (item && value !== (item[name] ?? "") && (value || name !== "name")) changeObjects([item.id], { [name]: value });
  };
  field.onkeydown = ({ key }) => {
    if (key === "Escape") field.value = item?.[name] ?? "";
    if (key === "Enter" || key === "Escape") field.blur();
  };
}

export function showAbout() {
  const item = state.chosenObject;
  const disabled = Boolean(item?.locked);
  element("about").hidden = !item || state.mode !== "annotate";
  for (const [name, list] of Object.entries(FIELDS)) {
    const used = [...new Set(state.objects.map((other) => other[name] ?? ""))].filter((text) => text);
    const offered = name === "category" && state.classes.length ? state.classes : used;
    if (list) fill(element(list), offered, () => offered.map((value) => make("option", { value })));
    if (document.activeElement !== element(name)) element(name).value = item?.[name] ?? "";
    element(name).disabled = disabled;
  }
  more.disabled = disabled;
  const rows = Object.entries(item?.attributes ?? {});
  fill(element("attributes"), [item?.id, disabled, rows], () => rows.map(([name, value]) => {
    const field = make("input", { value, maxLength: 200, disabled });
    field.onchange = () => changeAttribute(name, field.value.trim());
    return make("li", {}, [make("label", {}, [span(name), field]), iconButton("close", `Remove ${name}`, () => changeAttribute(name, null), { disabled })]);
  }));
}
