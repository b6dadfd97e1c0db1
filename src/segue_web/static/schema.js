// The dialog of the label schema, and the choice of a class.

import { dialog, iconButton, make, notice, within, span, tick } from "./dom.js";
import { keepDrafts } from "./drafts.js";
import { changeObjects, setSchema } from "./edits.js";
import { remember } from "./link.js";
import { mergeSchemas } from "./merging.js";
import { state } from "./state.js";

/**
 * @typedef {import("./state.js").LabelSchema} LabelSchema
 * @typedef {import("./state.js").AttributeDefinition} Attribute
 * @typedef {LabelSchema["classes"][number]} LabelClass
 */
/** What a file says of a class or an attribute: its name, and of the rest what there is to say.
 * @template {{name: string}} T @typedef {Partial<T> & {name: string}} Part
 */
/** @typedef {Omit<Part<LabelClass>, "attributes"> & {attributes?: Part<Attribute>[]}} ClassPart */

/** colours of new classes */
const COLOURS = ["#f2495c", "#ffb020", "#37c978", "#35b6f2", "#b877f2", "#f277b6", "#8fd14f", "#f28b54"];

const KINDS = { choice: "choice", text: "text", check: "check box" };
const OWNERS = { object: "of an object", frame: "of a frame" };

const select = (
  /** @type {string} */ label,
  /** @type {Record<string, string>} */ options,
  /** @type {string} */ value,
  /** @type {(value: string) => void} */ onchange,
) => {
  const node = make(
    "select",
    { "aria-label": label },
    Object.entries(options).map(([id, text]) => make("option", { value: id, textContent: text })),
  );
  node.value = value;
  node.onchange = () => onchange(node.value);
  return node;
};
const field = (
  /** @type {string} */ label,
  /** @type {string} */ value,
  /** @type {(value: string) => void} */ onchange,
  values = {},
) => {
  const node = make("input", { value, "aria-label": label, placeholder: label, ...values });
  node.oninput = () => onchange(node.value);
  return node;
};

/** @typedef {{base: LabelSchema, draft: LabelSchema, seen: number}} Draft */

/** what the dialog would save, while it is open @type {() => Draft | null} */
let readDraft = () => null;

/** Change classes and attributes, or go on with a draft; nothing is changed before it is saved. */
export function schemaDialog(/** @type {Draft | null} */ begun = null) {
  /** what the draft was made of, and when */
  let [base, seen] = [begun?.base ?? state.schema, begun?.seen ?? state.revision];
  let draft = begun?.draft ?? structuredClone(base);
  const box = make("div", { className: "schema" });
  readDraft = () => {
    const isOpen = box.closest("dialog")?.open && JSON.stringify(draft) !== JSON.stringify(base);
    return isOpen ? { base, draft, seen } : null;
  };
  const byClass = tick("Show objects in the colour of their class", { checked: state.settings.classColours });
  byClass.label.className = "tick";
  byClass.box.onchange = () => {
    remember("classColours", byClass.box.checked);
    state.setObjects(state.known);
  };

  const attributeRow = (/** @type {Attribute[]} */ list, /** @type {Attribute} */ item) =>
    make("li", { className: "row" }, [
      field(
        "Attribute",
        item.name,
        (text) => {
          item.name = text;
        },
        { className: "grow", maxLength: 80 },
      ),
      select(`Kind of ${item.name}`, KINDS, item.type, (kind) => {
        item.type = kind;
        if (kind !== "choice") item.values = [];
        show();
      }),
      select(`Owner of ${item.name}`, OWNERS, item.of, (owner) => {
        item.of = owner;
      }),
      ...(item.type === "choice"
        ? [
            field(
              "Values, separated by commas",
              item.values.join(", "),
              (text) => {
                item.values = text
                  .split(",")
                  .map((one) => one.trim())
                  .filter(Boolean);
              },
              { className: "grow" },
            ),
          ]
        : []),
      iconButton("trash", `Remove ${item.name}`, () => {
        list.splice(list.indexOf(item), 1);
        show();
      }),
    ]);
  const adder = (/** @type {Attribute[]} */ list, /** @type {string} */ title) =>
    make("button", {
      textContent: "Attribute",
      title,
      "aria-label": title,
      onclick: () => {
        list.push({ name: "", type: "check", of: "frame", values: [] });
        show();
      },
    });
  const classRow = (/** @type {LabelClass} */ item) =>
    make("li", {}, [
      make("div", { className: "row" }, [
        field(
          "Colour",
          item.colour ?? "#808080",
          (text) => {
            item.colour = text;
          },
          { type: "color" },
        ),
        field(
          "Class",
          item.name,
          (text) => {
            item.name = text;
          },
          { className: "grow", maxLength: 80 },
        ),
        field(
          "Key",
          item.key ?? "",
          (text) => {
            item.key = text || null;
          },
          { className: "one", maxLength: 1 },
        ),
        adder(item.attributes, `New attribute of ${item.name}`),
        iconButton("trash", `Remove ${item.name}`, () => {
          draft.classes.splice(draft.classes.indexOf(item), 1);
          show();
        }),
      ]),
      make(
        "ul",
        {},
        item.attributes.map((one) => attributeRow(item.attributes, one)),
      ),
    ]);
  const addClass = () => {
    const number = draft.classes.length + 1;
    draft.classes.push({
      name: "",
      colour: COLOURS[(number - 1) % COLOURS.length],
      key: number < 10 ? String(number) : null,
      attributes: [],
    });
    show();
    within(box, ".classes > li:last-child .grow")?.focus();
  };
  const show = () =>
    box.replaceChildren(
      make("h3", { textContent: "Classes" }),
      make("ul", { className: "classes" }, draft.classes.map(classRow)),
      make("div", { className: "row" }, [make("button", { textContent: "New class", onclick: addClass })]),
      make("h3", { textContent: "Attributes of all classes" }),
      make(
        "ul",
        {},
        draft.attributes.map((one) => attributeRow(draft.attributes, one)),
      ),
      make("div", { className: "row" }, [adder(draft.attributes, "New attribute of all classes")]),
    );
  const file = make("input", { type: "file", accept: ".json", "aria-label": "File of a label schema" });
  file.onchange = async () => {
    try {
      draft = wholeSchema(JSON.parse((await file.files?.[0].text()) ?? ""));
      show();
    } catch {
      notice("This file is not a label schema in JSON.", "bad");
    }
  };
  const isCurrent = () => JSON.stringify(state.schema) === JSON.stringify(base);
  const save = async () => {
    if (isCurrent()) seen = state.revision; // what somebody has changed meanwhile, and taken back, is no conflict
    if (await setSchema(draft, seen)) whole.close();
    else if (!isCurrent()) mergeIn();
  };
  /** Another person has changed the schema in the meantime: show both changes. */
  const mergeIn = () => {
    draft = structuredClone(mergeSchemas(base, draft, state.schema));
    [base, seen] = [state.schema, state.revision];
    show();
    notice("The dialog now shows their changes and yours. Check them and save again.");
  };
  show();
  const whole = dialog("Classes and attributes", [
    make("p", {
      className: "quiet",
      textContent:
        "Without classes, any class name is allowed. A frame value applies until you change it on a later frame. K and the key set the class of the selected object.",
    }),
    box,
    byClass.label,
    make("div", { className: "row" }, [
      make("label", { className: "grow" }, ["From a file", file]),
      make("button", { textContent: "Save as a file", onclick: () => download(draft) }),
    ]),
    make("button", { className: "primary", textContent: "Save", onclick: save }),
  ]);
  whole.classList.add("broad");
}

keepDrafts("schema", () => readDraft(), schemaDialog);

/**
 * A schema of a file or of the server, with all that may be left out.
 * @param {{classes?: ClassPart[], attributes?: Part<Attribute>[]}} given @returns {LabelSchema}
 */
export function wholeSchema({ classes = [], attributes = [] } = {}) {
  const whole = (/** @type {Part<Attribute>[]} */ list) =>
    list.map((item) => ({ type: "text", of: "object", values: [], ...item }));
  return {
    classes: classes.map((item) => ({ colour: null, key: null, ...item, attributes: whole(item.attributes ?? []) })),
    attributes: whole(attributes),
  };
}

function download(/** @type {LabelSchema} */ schema) {
  const address = URL.createObjectURL(new Blob([`${JSON.stringify(schema, null, 1)}\n`], { type: "application/json" }));
  make("a", { href: address, download: "schema.json" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** Choose the class of the selected object by a click or its key: a class of the schema or of other objects. */
export function classDialog() {
  const item = state.chosenObject;
  if (!item) return;
  const give = (/** @type {string} */ category) => {
    box.close();
    if (category !== item.category) changeObjects([item.id], { category });
  };
  const isFree = !state.schema.classes.length;
  const used = [...new Set(state.objects.map(({ category }) => category ?? "").filter(Boolean))].sort();
  const classes = isFree
    ? used.map((name, i) => ({ name, colour: null, key: i < 9 ? String(i + 1) : null }))
    : state.schema.classes;
  const other = make("input", {
    maxLength: 80,
    "aria-label": "Another class",
    placeholder: "Another class",
    className: "grow",
  });
  other.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && other.value.trim()) give(other.value.trim());
  };
  const choice = (/** @type {{name: string, colour: string | null, key: string | null}} */ { name, colour, key }) => {
    const sign = make("i", { className: "swatch" });
    sign.style.background = colour ?? "transparent";
    return make("button", { className: "class", "aria-pressed": item.category === name, onclick: () => give(name) }, [
      sign,
      span(name, "grow cut"),
      ...(key ? [make("kbd", { textContent: key.toUpperCase() })] : []),
    ]);
  };
  const box = dialog(`Class of ${item.name}`, [
    make("div", { className: "choices" }, [
      ...classes.map(choice),
      make("button", { textContent: "No class", onclick: () => give("") }),
    ]),
    ...(isFree
      ? [
          make("div", { className: "row" }, [
            other,
            make("button", {
              textContent: "Set this class",
              onclick: () => {
                if (other.value.trim()) give(other.value.trim());
              },
            }),
          ]),
        ]
      : []),
  ]);
  (within(box, "[aria-pressed=true]") ?? within(box, ".class") ?? other).focus();
  box.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.target === other) return;
    const found = classes.find(({ key }) => key === event.key.toLowerCase());
    if (!found || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the key is of no command
    give(found.name);
  };
}
