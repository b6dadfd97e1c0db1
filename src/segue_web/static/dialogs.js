// The dialogs: copy, merge, import.

import { dialog, element, make, notice, span } from "./dom.js";
import { merge, spread } from "./edits.js";
import { ask } from "./link.js";
import { state } from "./state.js";

/**
 * @typedef {{name: string, icon: string, keys?: string, text?: string, run: () => void, can?: () => boolean,
 *   mode?: string}} Command
 * @typedef {{number: number, name: string, target: number | null, text: string}} ImportedObject
 */

/** objects of a file that are listed before it is imported */
const MAX_LISTED = 200;

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
      textContent: `Choose a file, or a zip file of several: ${state.importFormats.join(", ")}. You can also drop a file on the page. The next step shows which masks are added and replaced.`,
    }),
    input,
  ]);
}

/** Of several videos, the one that the file is for. */
const ofVideo = () => (state.video.number === undefined ? "" : `?video=${state.video.number}`);

/** Read a file, and show what its import changes. */
async function importFile(/** @type {File} */ file) {
  try {
    const answer = await fetch(`import/${encodeURIComponent(file.name)}${ofVideo()}`, { method: "POST", body: file });
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
