// The dialogs: export, import, help.

import { dialog, element, make, notice, span, tick } from "./dom.js";
import { merge, spread, start } from "./edits.js";
import { ask, chooseKey } from "./link.js";
import { isReserved, keysOf, pressedKeys } from "./own_keys.js";
import { state } from "./state.js";
import { TOOLS } from "./tools.js";

/**
 * @typedef {{name: string, icon: string, keys?: string, text?: string, run: () => void, can?: () => boolean,
 *   mode?: string}} Command
 * @typedef {{number: number, name: string, target: number | null, text: string}} ImportedObject
 */

/** objects of a file that are listed before it is imported */
const MAX_LISTED = 200;

export function exportDialog() {
  const chosen = new Set(state.group === null ? state.objects.map((item) => item.id) : state.chosenIds);
  const boxes = state.objects.map(({ id, name }) => {
    const { box, label } = tick(name, { checked: chosen.has(id) });
    box.onchange = () => (box.checked ? chosen.add(id) : chosen.delete(id));
    return make("li", {}, [label]);
  });
  const last = state.video.frames - 1;
  const limit = (/** @type {string} */ name, /** @type {number} */ value) =>
    make("input", { type: "number", min: 0, max: last, value, "aria-label": name });
  const [from, to] = [limit("First frame", state.wanted[0]), limit("Last frame", state.wanted[1])];
  const whole = tick("Include frames without masks, as frames without objects (data sets, Label Studio, labelme)");
  const soft = tick("Cut-outs: estimate the soft edge from the image for objects without one (some seconds per frame)");
  const colours = make("select", {}, [
    make("option", { value: "", textContent: "by format: OpenEXR premultiplied, others straight" }),
    make("option", { value: "straight", textContent: "straight" }),
    make("option", { value: "premultiplied", textContent: "premultiplied (colour times opacity)" }),
  ]);
  const each = tick("Export each object separately");
  for (const { label } of [whole, soft, each]) label.className = "tick";
  const choose = (/** @type {string} */ format) => {
    box.close();
    const [first, end] = [from, to].map((input) => Math.min(last, Math.max(0, Math.round(Number(input.value) || 0))));
    void start("export", {
      format,
      objects: [...chosen],
      all_frames: whole.box.checked,
      first,
      last: end,
      soft: soft.box.checked,
      premultiplied: colours.value ? colours.value === "premultiplied" : null,
      each: each.box.checked,
    });
  };
  const groups = [...new Set(state.formats.map(({ group }) => group))].flatMap((title) => [
    make("h3", { textContent: title }),
    make(
      "div",
      { className: "choices" },
      state.formats
        .filter(({ group }) => group === title)
        .map(({ id, name, text }) =>
          make("button", { "data-format": id, onclick: () => choose(id) }, [
            make("b", { textContent: name }),
            span(text),
          ]),
        ),
    ),
  ]);
  const box = dialog("Export", [
    make("div", { className: "row" }, [make("label", {}, ["Frames from", from]), make("label", {}, ["to", to])]),
    whole.label,
    each.label,
    soft.label,
    make("label", { className: "row" }, ["Colours of cut-outs", colours]),
    make("h3", { textContent: "Objects" }),
    make("ul", { className: "found" }, boxes),
    ...groups,
  ]);
}

/** Ask to which frames the mask of the selected object is copied. */
export function spreadDialog() {
  const last = state.video.frames - 1;
  const limit = (/** @type {string} */ name, /** @type {number} */ value) =>
    make("input", { type: "number", min: 0, max: last, value, "aria-label": name });
  const [from, to] = [limit("First frame", Math.min(last, state.frame + 1)), limit("Last frame", state.wanted[1])];
  const run = () => {
    box.close();
    const [first, end] = [from, to].map((input) => Math.min(last, Math.max(0, Math.round(Number(input.value) || 0))));
    void spread(first, end);
  };
  const box = dialog("Copy the mask to other frames", [
    make("p", {
      textContent: `Copies the mask of ${state.chosenObject?.name} on frame ${state.frame}, for an object that does not move. Corrected frames stay unchanged.`,
    }),
    make("div", { className: "row" }, [make("label", {}, ["Frames from", from]), make("label", {}, ["to", to])]),
    make("button", { className: "primary", textContent: "Copy", onclick: run }),
  ]);
}

/** Ask into which object the selected one is merged. */
export function mergeDialog() {
  const item = state.chosenObject;
  if (!item) return;
  const others = state.ordered.filter((other) => other !== item && !other.locked);
  const select = make(
    "select",
    { "aria-label": "The other object" },
    others.map((other) => make("option", { value: String(other.id), textContent: other.name })),
  );
  const run = () => {
    box.close();
    void merge(item.id, Number(select.value));
  };
  const box = dialog("Merge two objects", [
    make("p", { textContent: `${item.name} becomes part of the other object on all frames. You can undo this.` }),
    make("div", { className: "row" }, [make("label", { className: "grow" }, ["Merge with", select])]),
    make("button", { className: "primary", textContent: "Merge", onclick: run, disabled: !others.length }),
  ]);
}

export function importDialog() {
  const input = make("input", { type: "file", accept: state.imports.join(","), "aria-label": "File to import" });
  input.onchange = () => {
    const file = input.files?.[0];
    if (!file) return;
    box.close();
    void importFile(file);
  };
  const box = dialog("Import masks", [
    make("p", {
      textContent:
        "Choose PNG masks, JSON (COCO, YouTube-VIS, Label Studio, labelme, VIA), CVAT XML or YOLO labels, as a single file or a zip file. You can also drop a file on the page. The next step shows which masks are added and replaced.",
    }),
    input,
  ]);
}

/** Read a file, and show what its import changes. */
async function importFile(/** @type {File} */ file) {
  try {
    const answer = await fetch(`import/${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    const reply = await answer.json();
    if (answer.ok) importPreview(reply.upload, reply.objects, reply.left_out, reply.schema);
    else notice(reply.error ?? "The file could not be imported.", "bad");
  } catch {
    notice("The file could not be sent because the connection was lost.", "bad");
  }
}

// Files that are dropped on the page
let over = 0;
const showDrop = () => {
  element("drop").hidden = over <= 0;
};
const holdsFiles = (/** @type {DragEvent} */ event) =>
  Boolean(state.editable && event.dataTransfer?.types.includes("Files"));
addEventListener("dragenter", (event) => {
  if (holdsFiles(event)) {
    over++;
    showDrop();
  }
});
addEventListener("dragleave", (event) => {
  if (holdsFiles(event)) {
    over--;
    showDrop();
  }
});
addEventListener("dragover", (event) => {
  if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
});
addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault(); // the browser would leave the page for the file
  over = 0;
  showDrop();
  const { files } = event.dataTransfer;
  if (!state.editable) return;
  if (files.length === 1) void importFile(files[0]);
  else notice("Drop one file at a time, or a zip file.");
});

/** What an import changes, object by object, before it is done. */
function importPreview(
  /** @type {number} */ upload,
  /** @type {ImportedObject[]} */ objects,
  /** @type {string} */ leftOut,
  /** @type {string} */ schema,
) {
  const targets = Object.fromEntries(objects.map(({ number, target }) => [number, target]));
  const option = (/** @type {number | null} */ id) =>
    make("option", {
      value: String(id ?? ""),
      textContent: id === null ? "new object" : (state.objects.find((item) => item.id === id)?.name ?? `Object ${id}`),
    });
  const run = async () => {
    const answer = await ask("import", { upload, targets });
    if (answer) {
      box.close();
      notice(`Imported: ${answer.message}.`, "good");
    } else await preview();
  };
  /** what becomes of each object, by its number in the file @type {Map<number, HTMLElement>} */
  const texts = new Map();
  /** List the changes as they would be now. */
  const preview = async () => {
    const answer = await ask("import", { upload, targets, preview: true });
    button.disabled = !answer;
    for (const { number, text } of answer?.objects ?? []) {
      const about = texts.get(number);
      if (about) about.textContent = text;
    }
    return Boolean(answer);
  };
  const button = make("button", { className: "primary", textContent: "Import", onclick: run });
  const rows = objects.slice(0, MAX_LISTED).map(({ number, name, target, text }) => {
    const [about, select] = [
      span(text, "quiet"),
      make("select", { "aria-label": `${name} becomes` }, [option(target)]),
    ];
    select.onfocus = () => {
      select.onfocus = null;
      select.replaceChildren(
        option(null),
        ...state.objects.filter((item) => !item.locked).map((item) => option(item.id)),
      );
      select.value = String(target ?? "");
    };
    select.onchange = async () => {
      targets[number] = select.value ? Number(select.value) : null;
      if (!(await preview())) about.textContent = "choose another object";
    };
    texts.set(number, about);
    return make("li", {}, [make("b", { textContent: name }), " → ", select, about]);
  });
  if (objects.length > rows.length)
    rows.push(make("li", { textContent: `and ${objects.length - rows.length} more objects` }));
  const box = dialog("Import masks", [
    make("p", { textContent: "Undo restores replaced masks. All other masks stay unchanged." }),
    ...(leftOut ? [make("p", { textContent: `Skipped because they are not areas: ${leftOut}.` })] : []),
    ...(schema ? [make("p", { textContent: `Added to the classes and attributes: ${schema}.` })] : []),
    make("ul", { className: "imports" }, rows),
    button,
  ]);
}

export function helpDialog(/** @type {Record<string, Command>} */ commands) {
  const edits = state.mode === "annotate";
  const usable = Object.entries(commands).filter(
    ([, item]) => item.keys && (item.mode ? item.mode === state.mode : edits || !item.can),
  );
  /** commands with a key that can be changed: name in the settings, description and default key
   * @type {[string, string, string][]}
   */
  const choices = [
    ...(edits ? TOOLS.map((tool) => /** @type {[string, string, string]} */ ([tool.id, tool.name, tool.key])) : []),
    ...usable.map(([name, item]) => /** @type {[string, string, string]} */ ([name, item.name, item.keys ?? ""])),
  ];
  const fixed = [
    ["1 – 9", "Select an object"],
    ["Shift 1 – 9, 0", "Set the opacity of the masks: 10 to 90, 100 %"],
    ["W A S D", "Move the crosshair (Shift: faster)"],
    ["Enter", "Apply the tool at the crosshair"],
    ["Wheel", "Zoom; drag with the middle button to move the image"],
    ["Ctrl Wheel", "Zoom the timeline; double-click to show all of it"],
  ];
  const line = (/** @type {Node} */ key, /** @type {string} */ name) =>
    make("div", {}, [make("dt", {}, [key]), make("dd", { textContent: name })]);
  const rows = [
    ...choices.map((choice) => line(keyButton(choice, choices), choice[1])),
    ...fixed.map(([keys, name]) => line(make("kbd", { textContent: keys }), name)),
  ];
  const steps = [
    "Go to a frame that shows the object well, and click on it. Click on missing parts; right-click on areas outside the object.",
    "Press Track. The masks appear in the timeline; the height of a bar is the confidence.",
    "Go to a frame in “Review next”, correct it, and continue tracking from there. Tracking never replaces a corrected mask and uses it as memory.",
    "Between two corrected frames, press Between: tracking uses both corrections from the start.",
  ];
  const list = make(
    "ol",
    { className: "steps" },
    steps.map((text, i) => make("li", { textContent: `${i + 1}. ${text}` })),
  );
  dialog("Help", [
    ...(edits ? [list] : []),
    make("p", {
      className: "quiet",
      textContent: "Click on a key to change it; Delete restores the default.",
    }),
    make("div", { className: "keys" }, [make("dl", {}, rows)]),
  ]);
}

/** A button that shows a key; a click and then another key sets that key, unless it is already used. */
function keyButton(
  /** @type {[string, string, string]} */ [name, what, usual],
  /** @type {[string, string, string][]} */ choices,
) {
  const show = () => written(keysOf(name, usual));
  const button = make("button", { className: "key-choice", textContent: show(), "aria-label": `Key: ${what}` });
  button.onclick = () => {
    button.textContent = "press a key";
  };
  button.onblur = () => {
    button.textContent = show();
  };
  button.onkeydown = (event) => {
    const pressed = pressedKeys(event);
    if (button.textContent !== "press a key" || ["Shift", "Tab", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const given = event.key === "Delete" ? usual : pressed;
    const taken = choices.find(([other, , key]) => other !== name && keysOf(other, key) === given);
    if (event.ctrlKey || event.metaKey || event.altKey || isReserved(given) || taken)
      notice(`${written(given)} is already used${taken ? `: ${taken[1]}` : ""}.`, "bad");
    else chooseKey(name, given);
    button.textContent = show();
  };
  return button;
}

/** Keys as a person reads them. */
export function written(/** @type {string} */ keys) {
  /** @type {Record<string, string>} */
  const names = { space: "Space", ArrowLeft: "←", ArrowRight: "→", shift: "Shift", ctrl: "Ctrl" };
  return (
    keys
      .split("+")
      .filter((part) => part)
      .map((part) => names[part] ?? (part.length === 1 ? part.toUpperCase() : part))
      .join(" ") || keys
  );
}
