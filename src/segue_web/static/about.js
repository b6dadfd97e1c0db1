// The properties of the selected object: name, class, group and attributes.

import { element, fill, iconButton, make } from "./dom.js";
import { changeFrameAttributes, changeObjects, seenNow } from "./edits.js";
import { state } from "./state.js";
import { leave } from "./typing.js";

/**
 * @typedef {import("./state.js").TrackedObject} TrackedObject
 * @typedef {import("./state.js").AttributeDefinition & {free?: boolean, value: string, here: boolean}} Row
 * @typedef {"name" | "category" | "group"} Field
 */

/** fields by what they say, and where the list is of what other objects have @type {Record<Field, string | null>} */
const FIELDS = { name: null, category: "categories", group: "groups" };

for (const name of /** @type {Field[]} */ (Object.keys(FIELDS))) tie(element(name), name);
const more = element("attribute");
more.onkeydown = (/** @type {KeyboardEvent} */ event) => {
  if (event.key === "Escape") void leave(event, more, "", giveTyped);
  if (event.key === "Enter") giveTyped();
};

/** Set the typed attribute of the selected object. */
function giveTyped() {
  const [name, ...rest] = more.value.split(":");
  if (!state.chosenObject || !name.trim()) return;
  changeAttribute(name.trim(), rest.join(":").trim());
  more.value = "";
}

function changeAttribute(/** @type {string} */ name, /** @type {string | null} */ value) {
  if (state.chosenObject) changeObjects([state.chosenObject.id], { attributes: { [name]: value } });
}

/** Bind a field to the object that is selected on focus: another one may be selected on blur. */
function tie(/** @type {HTMLInputElement} */ field, /** @type {Field} */ name) {
  /** @type {TrackedObject | undefined} */
  let item;
  /** @type {number | null} */
  let seen = null;
  field.onfocus = () => {
    item = state.chosenObject;
    seen = seenNow();
  };
  const give = () => {
    const value = field.value.trim();
    if (item && value !== (item[name] ?? "") && (value || name !== "name"))
      changeObjects([item.id], { [name]: value }, seen);
    seen = null;
  };
  field.onchange = give;
  field.onkeydown = (event) => {
    if (event.key === "Escape") void leave(event, field, item?.[name] ?? "", give);
    if (event.key === "Enter") field.blur();
  };
}

export function showAbout() {
  const item = state.chosenObject;
  const disabled = Boolean(item?.locked);
  element("about").hidden = !item || state.mode !== "annotate";
  for (const [name, list] of /** @type {[Field, "categories" | "groups" | null][]} */ (Object.entries(FIELDS))) {
    const used = [...new Set(state.objects.map((other) => other[name] ?? ""))].filter((text) => text);
    const offered =
      name === "category" && state.schema.classes.length ? state.schema.classes.map((one) => one.name) : used;
    if (list) fill(element(list), offered, () => offered.map((value) => make("option", { value })));
    const isTyped = document.activeElement === element(name) || document.querySelector(".question");
    if (!isTyped) element(name).value = element(name).title = item?.[name] ?? "";
    element(name).disabled = disabled;
  }
  more.disabled = disabled;
  const rows = item ? attributeRows(item) : [];
  const list = element("attributes");
  fill(list, [item?.id, disabled, rows], () => (item ? rows.map((row) => attributeRow(item, row, disabled)) : []));
  element("legend-attribute").hidden = !state.objects.some((one) => Object.keys(one.frame_attributes ?? {}).length);
}

/** Attributes of an object on this frame: those of its class, set or not, then others. */
function attributeRows(/** @type {TrackedObject} */ item) {
  const defined = state.attributesOf(item);
  const free = (/** @type {string[]} */ names, /** @type {string} */ of) =>
    names
      .filter((name) => !defined.some((one) => one.name === name))
      .map((name) => ({ name, type: "text", of, values: [], free: true }));
  const all = [
    ...defined,
    ...free(Object.keys(item.attributes ?? {}), "object"),
    ...free(Object.keys(item.frame_attributes ?? {}), "frame"),
  ];
  return all.map((one) => {
    /** @type {Record<string, string>} */
    const points = item.frame_attributes?.[one.name] ?? {};
    const before = Object.keys(points)
      .map(Number)
      .filter((frame) => frame <= state.frame);
    const value = one.of === "object" ? item.attributes?.[one.name] : points[Math.max(...before)];
    return { ...one, value: value ?? "", here: one.of === "frame" && state.frame in points };
  });
}

function attributeRow(
  /** @type {TrackedObject} */ item,
  /** @type {Row} */ { name, type, of, values, value, here, free },
  /** @type {boolean} */ disabled,
) {
  let { frame } = state;
  /** @type {number | null} */
  let seen = null;
  const about = {
    disabled,
    "data-focus": name,
    title: of === "frame" ? "Applies from this frame until you change it" : "",
  };
  // The field stays unchanged while the displayed frames have the same value.
  const give = (/** @type {string | null} */ given) => {
    if (of === "frame") changeFrameAttributes(item.id, frame, { [name]: given }, seen);
    else changeObjects([item.id], { attributes: { [name]: given === "" && !free ? null : given } }, seen);
    seen = null;
  };
  const giveHere = (/** @type {string | null} */ given) => {
    ({ frame } = state);
    give(given);
  };
  const options = ["", ...values, ...(value && !values.includes(value) ? [value] : [])];
  const kinds = {
    check: () => make("input", { ...about, type: "checkbox", checked: value === "true" }),
    choice: () =>
      make(
        "select",
        about,
        options.map((text) => make("option", { value: text, textContent: text })),
      ),
    text: () => make("input", { ...about, value, maxLength: 200 }),
  };
  const field = kinds[type === "check" || type === "choice" ? type : "text"]();
  if (field instanceof HTMLInputElement && type === "check") field.onchange = () => giveHere(String(field.checked));
  else if (type === "choice") {
    field.value = value;
    field.onchange = () => giveHere(field.value);
  } else {
    field.onkeydown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") void leave(event, field, value, () => give(field.value.trim()));
    };
    field.onfocus = () => {
      ({ frame } = state);
      seen = seenNow();
    }; // typed text belongs to the frame that was displayed
    field.onchange = () => give(field.value.trim());
  }
  const back = here ? "on this frame" : "";
  const remove =
    free || here
      ? [
          iconButton(
            "close",
            ["Remove", name, back].join(" ").trim(),
            () => (of === "frame" ? giveHere(null) : changeAttribute(name, null)),
            { disabled },
          ),
        ]
      : [];
  return make("li", { className: type === "check" ? "ticked" : "" }, [
    make("label", {}, [make("span", { textContent: of === "frame" ? `${name} ↦` : name, title: name }), field]),
    ...remove,
  ]);
}
