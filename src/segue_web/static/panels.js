// The panels at the side, notices and dialogs.

import { icon } from "./icons.js";
import { DIFFERENCE } from "./view.js";

/** @param {string} id @returns {HTMLElement} */
export const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @param {string} tag
 * @param {Record<string, any>} [values] properties, or attributes where there is a dash
 * @param {(Node | string)[]} [children]
 * @returns {any}
 */
export function make(tag, values = {}, children = []) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(values)) {
    if (key.includes("-") || key === "for") node.setAttribute(key, String(value));
    else /** @type {any} */ (node)[key] = value;
  }
  node.append(...children);
  return node;
}

/**
 * Make the parts of a list anew where what it shows has changed: a press on a part that is replaced is lost.
 * @param {HTMLElement} list
 * @param {any} shown what the parts are made of
 * @param {() => Node[]} parts
 */
export function fill(list, shown, parts) {
  const text = JSON.stringify(shown);
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  list.replaceChildren(...parts());
}

/**
 * One line for the person, which goes by itself unless it is bad.
 * @param {string} text
 * @param {"" | "bad" | "good"} [kind]
 * @param {Node[]} [more]
 */
export function notice(text, kind = "", more = []) {
  const box = element("notices");
  const isHint = kind === "" && !more.length;  // of what was done last: one is enough
  for (const old of [...box.children]) if (old.firstElementChild?.textContent === text || (isHint && old.className === "notice hint")) old.remove();
  const close = make("button", { className: "icon", "aria-label": "Close", title: "Close" }, [icon("close")]);
  const node = make("div", { className: `notice ${isHint ? "hint" : kind}` }, [make("span", { textContent: text }), ...more, close]);
  close.onclick = () => node.remove();
  box.append(node);
  while (box.children.length > 3) box.firstElementChild?.remove();
  setTimeout(() => node.remove(), kind === "bad" ? 15000 : more.length ? 30000 : 5000);
}

/**
 * @param {string} title
 * @param {Node[]} body
 * @returns {HTMLDialogElement}
 */
export function dialog(title, body) {
  const box = /** @type {HTMLDialogElement} */ (element("dialog"));
  const close = make("button", { className: "icon", "aria-label": "Close", title: "Close (Escape)" }, [icon("close")]);
  close.onclick = () => box.close();
  box.replaceChildren(
    make("div", { className: "dialog-head" }, [make("h2", { id: "dialog-title", textContent: title }), close]),
    make("div", { className: "dialog-body" }, body),
  );
  box.showModal();
  return box;
}

/**
 * @param {import("./state.js").State} state
 * @typedef {{change: (id: number, values: object) => void, remove: (id: number) => void,
 *   choose: (id: number | null) => void, chooseGroup: (name: string) => void,
 *   changeAll: (ids: number[], values: object) => void}} Actions
 */

/** @param {import("./state.js").State} state @param {Actions} actions */
export function showObjects(state, actions) {
  const list = element("objects");
  element("objects-empty").hidden = state.objects.length > 0 || state.mode !== "annotate";
  if (list.contains(document.activeElement) && document.activeElement?.matches("input.name, input[type=color]")) return;
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.focus;
  fill(list, [state.mode, state.objects, state.object, state.group], () => {
    const rows = state.objects.map((item, i) => ({ item, row: objectRow(state, item, i, actions) }));
    const groups = [...new Set(state.objects.map((item) => item.group ?? "").filter((name) => name))];
    return ["", ...groups].flatMap((name) => [
      ...(name ? [groupRow(state, name, actions)] : []),
      ...rows.filter(({ item }) => (item.group ?? "") === name).map(({ row }) => row),
    ]);
  });
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (list.querySelectorAll("[data-focus^=trash]"))) button.disabled = Boolean(state.running);
  if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-focus="${CSS.escape(focused)}"]`))?.focus();
}

/**
 * @param {import("./state.js").State} state
 * @param {import("./state.js").Thing} item
 * @param {number} i
 * @param {Actions} actions
 */
function objectRow(state, item, i, actions) {
  const row = make("li", { className: `${item.id === state.object ? "chosen" : ""} ${item.visible ? "" : "off"}` });
  const edits = state.mode === "annotate";
  const colour = make("input", { type: "color", value: item.colour, title: "Colour", "aria-label": `Colour of ${item.name}`, disabled: !edits });
  colour.onchange = () => actions.change(item.id, { colour: colour.value });
  const pick = make("button", {
    className: "pick", textContent: item.name, title: edits ? "Choose; double click, or F2, to rename" : item.name,
    "aria-pressed": item.id === state.object, "data-focus": `pick${item.id}`,
  });
  const rename = () => {
    const input = make("input", { className: "name", value: item.name, maxLength: 80, "aria-label": "Name" });
    const save = () => {
      input.onblur = null;
      input.replaceWith(pick);
      if (input.value.trim() && input.value !== item.name) actions.change(item.id, { name: input.value.trim() });
      else state.changed();
    };
    input.onblur = save;
    input.onkeydown = (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      if (event.key === "Enter") save();
      if (event.key === "Escape") { input.value = item.name; save(); }
    };
    pick.replaceWith(input);
    input.select();
  };
  if (item.category) pick.append(make("span", { className: "quiet", textContent: ` ${item.category}` }));
  pick.onclick = () => actions.choose(item.id);
  if (edits) {
    pick.ondblclick = rename;
    pick.onkeydown = (/** @type {KeyboardEvent} */ event) => { if (event.key === "F2") rename(); };
  }
  row.append(colour, make("span", { className: "number", textContent: i < 9 ? String(i + 1) : "" }), pick);
  row.append(toggle(item.visible ? "eye" : "closed", `Show ${item.name}`, item.visible, `eye${item.id}`, () => actions.change(item.id, { visible: !item.visible })));
  if (edits) {
    row.append(
      toggle(item.locked ? "lock" : "open", `Lock ${item.name}`, item.locked, `lock${item.id}`, () => actions.change(item.id, { locked: !item.locked })),
      toggle("trash", `Remove ${item.name}`, null, `trash${item.id}`, () => actions.remove(item.id)),
    );
  }
  return row;
}

/**
 * The line above the objects of a group.
 * @param {import("./state.js").State} state
 * @param {string} name
 * @param {Actions} actions
 */
function groupRow(state, name, actions) {
  const members = state.objects.filter((item) => item.group === name);
  const ids = members.map((item) => item.id);
  const [visible, locked] = [members.some((item) => item.visible), members.some((item) => item.locked)];
  const pick = make("button", {
    className: "pick", textContent: name, title: "Choose the group: Track and Export take its objects alone",
    "aria-pressed": state.group === name, "data-focus": `group${name}`, onclick: () => actions.chooseGroup(name),
  }, [make("span", { className: "quiet", textContent: ` ${ids.length}` })]);
  pick.prepend(icon("group"));
  const row = make("li", { className: `team ${state.group === name ? "chosen" : ""}` }, [pick]);
  row.append(toggle(visible ? "eye" : "closed", `Show ${name}`, visible, `eyes${name}`, () => actions.changeAll(ids, { visible: !visible })));
  if (state.mode === "annotate") row.append(toggle(locked ? "lock" : "open", `Lock ${name}`, locked, `locks${name}`, () => actions.changeAll(ids, { locked: !locked })));
  return row;
}

/**
 * @param {string} name @param {string} label @param {boolean | null} on @param {string} focus @param {() => void} run
 */
function toggle(name, label, on, focus, run) {
  const button = make("button", { className: "icon", title: label, "aria-label": label, "data-focus": focus, onclick: run }, [icon(name)]);
  if (on !== null) button.setAttribute("aria-pressed", String(on));
  return button;
}

const KINDS = { given: "corrected by you", tracked: "tracked", found: "found", imported: "imported", interpolated: "interpolated between two polygons" };

/** @param {import("./state.js").State} state */
export function showHere(state) {
  const item = state.chosenObject;
  const mark = item && state.marksOf(item.id).get(state.frame);
  let text = item ? `${item.name} has no mask here.` : "Choose an object to see what is known of it.";
  if (state.group !== null) text = `The group ${state.group}: ${state.chosenIds.length === 1 ? "one object" : `${state.chosenIds.length} objects`}. Track and Export take nothing else.`;
  if (item && mark) {
    text = `${item.name}: ${mark.area ? KINDS[/** @type {keyof typeof KINDS} */ (mark.kind)] : "not visible"}`;
    if (mark.kind === "tracked" || (mark.kind === "imported" && mark.score < 1)) text += `, confidence ${mark.score.toFixed(2)}`;
    else if (mark.score < 1) text += `, expected overlap with the object ${mark.score.toFixed(2)}`;
    if (mark.weight !== null) {
      const later = Math.round(100 * mark.weight);
      text += `; merged: ${100 - later} % from the correction before, ${later} % from the one after, which agree to ${(mark.agreement ?? 0).toFixed(2)}`;
    }
    text += mark.area ? `; ${mark.area.toLocaleString("en")} pixels.` : ".";
  }
  element("here-text").textContent = text;
}

/** @param {import("./state.js").State} state @param {(frame: number, object: number) => void} go */
export function showNext(state, go) {
  const items = state.unsure();
  const empty = element("next-empty");
  empty.hidden = items.length > 0;
  empty.textContent = state.isTracked ? `No frame has a confidence below ${state.settings.threshold}.` : "Nothing is tracked yet. Frames on which the tracker is unsure will be listed here.";
  const shown = items.map(({ frame, object, value }) => [frame, object.id, object.name, object.colour, value.toFixed(2)]);
  fill(element("next"), shown, () => items.map(({ frame, object, value }) => {
    const swatch = make("i", { className: "swatch" });
    swatch.style.background = object.colour;
    const button = make("button", { onclick: () => go(frame, object.id) }, [
      swatch, make("span", { textContent: `Frame ${frame}` }), make("span", { className: "quiet", textContent: object.name }),
      make("span", { className: "meter quiet", textContent: value.toFixed(2) }),
    ]);
    return make("li", {}, [button]);
  }));
}

/** @param {import("./state.js").State} state */
export function showFound(state) {
  const list = element("found");
  const here = state.foundFrame === state.frame ? state.found : [];
  if (list.childElementCount !== here.length || list.dataset.frame !== String(state.foundFrame)) {
    list.dataset.frame = String(state.foundFrame);
    list.replaceChildren(...here.map((item, i) => {
      const box = make("input", { type: "checkbox", checked: state.chosen.has(i) });
      box.onchange = () => {
        if (box.checked) state.chosen.add(i);
        else state.chosen.delete(i);
        state.changed();
      };
      return make("li", {}, [make("label", {}, [box, make("span", { className: "grow", textContent: item.label ?? "object" }), make("span", { className: "quiet", textContent: item.score === null ? "" : item.score.toFixed(2), title: "Expected overlap with an object" })])]);
    }));
  }
  const add = /** @type {HTMLButtonElement} */ (document.querySelector('[data-command="adopt"]'));
  add.hidden = here.length === 0;
  add.disabled = state.chosen.size === 0;
}

/** @param {import("./state.js").State} state @param {any} score */
export function showScore(state, score) {
  const blank = score.columns.map(() => null);
  const two = (/** @type {number | null} */ value) => (value === null ? "–" : value.toFixed(3));
  const table = make("table", { className: "scores" }, [
    make("thead", {}, [make("tr", {}, ["Object", ...score.columns.map((/** @type {string} */ name) => `${name} here`), ...score.columns].map((name) => make("th", { scope: "col", textContent: name })))]),
    make("tbody", {}, score.rows.map((/** @type {any} */ row) => {
      const name = state.objects.find((item) => item.id === row.object)?.name ?? "all";
      return make("tr", {}, [make("th", { scope: "row", textContent: name }), ...[...(row.here ?? blank), ...(row.all ?? blank)].map((value) => make("td", { textContent: two(value) }))]);
    })),
  ]);
  const legend = DIFFERENCE.map(({ name, colour }) => {
    const swatch = make("i", { className: "swatch" });
    swatch.style.background = colour;
    return make("div", { className: "key" }, [swatch, make("span", { textContent: name })]);
  });
  const note = score.total === 0 ? "no frame counts: the scorer leaves out the first and the last with a truth" : score.done < score.total ? `over ${score.done} of ${score.total} frames so far` : `over ${score.total} frames`;
  element("score").replaceChildren(table, make("p", { className: "quiet", textContent: note }), ...legend);
}
