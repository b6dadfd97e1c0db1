// The side panels: objects, the selected object, this frame, suggestions, frames to review.

import { showChanges } from "./changes.js";
import { curvePart, drawCurve, goWorst } from "./curve.js";
import { all, commandButton, element, fill, iconButton, make, within, short, span, swatch, tick } from "./dom.js";
import { changeObjects, moveLayer, nextCandidate, pasteOf, remove } from "./edits.js";
import { icon } from "./icons.js";
import { DIFFERENCE } from "./paint.js";
import { request } from "./link.js";
import { whose } from "./people.js";
import { isDoubtful, nearestMask, scoreNote } from "./review.js";
import { go } from "./playback.js";
import { showQueue } from "./queue.js";
import { state } from "./state.js";
import { tools } from "./tools.js";

/**
 * @typedef {import("./state.js").TrackedObject} TrackedObject
 * @typedef {import("./state.js").Score} Score
 */

/** @type {Record<string, string>} */
const KINDS = {
  tracked: "tracked",
  imported: "imported",
  interpolated: "interpolated between two keys of its shape",
};

/** when the list of what to look at next was made */
let nextShown = 0;

/** the object that the list was scrolled to last @type {number | null} */
let scrolledTo = null;

for (const tab of all("[data-list]")) tab.onclick = () => showList(tab.dataset.list ?? "");
element("filter").oninput = () => {
  state.filter = element("filter").value;
  state.changed();
};
element("filter").onkeydown = (/** @type {KeyboardEvent} */ { key }) => {
  if (key === "Enter" || key === "Escape") element("filter").blur();
};

/** Show one of the lists at the side. */
export function showList(/** @type {string} */ name) {
  state.list = name;
  state.changed();
}

export function showPanels() {
  for (const name of /** @type {const} */ (["objects", "next", "found"])) {
    element(`tab-${name}`).setAttribute("aria-selected", String(name === state.list));
    element(`list-${name}`).hidden = name !== state.list;
  }
  showObjects();
  showHere();
  showQueue();
  showChanges();
  showFound();
  showScore();
  if (performance.now() - nextShown <= (state.running ? 1000 : 0)) return;
  nextShown = performance.now();
  void review();
  showNext();
}

/** whether it is looked for, and the last change that it was looked for after */
let [reviews, reviewed] = [false, -1];

/** Look for jumps of objects after a change while the list or “Go to” needs them. */
async function review() {
  const wanted = state.editable && !state.running && (state.list === "next" || state.settings.seek === "review");
  if (!wanted || reviews || reviewed === state.revision) return;
  reviews = true;
  reviewed = state.revision;
  const answer = await request("review").catch(() => null);
  reviews = false;
  if (answer) state.flaws = answer.flaws;
  state.changed();
}

function showObjects() {
  const [list, empty, shown] = [element("objects"), element("objects-empty"), state.listed];
  element("tab-objects").textContent = state.objects.length ? `Objects ${state.objects.length}` : "Objects";
  empty.hidden = shown.length > 0 || (!state.objects.length && state.mode !== "annotate");
  empty.textContent = state.objects.length
    ? `No object matches “${state.filter.trim()}”.`
    : "Click on an object in the image, or draw a box around it. Or let segue suggest objects:";
  element("jobs").hidden = state.objects.length > 0;
  if (list.querySelector("input[type=color]:focus")) return;
  fill(list, [state.mode, shown, state.object, state.group, state.running?.objects], () => {
    // A group has a line of its own wherever its objects begin: the order of the list is that of the image.
    const begins = (/** @type {TrackedObject} */ item, /** @type {number} */ i) =>
      item.group && item.group !== shown[i - 1]?.group;
    return shown.flatMap((item, i) => [...(begins(item, i) ? [groupRow(item.group ?? "")] : []), objectRow(item)]);
  });
  if (scrolledTo === state.object) return;
  scrolledTo = state.object;
  list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
}

function objectRow(/** @type {TrackedObject} */ item) {
  const edits = state.mode === "annotate";
  const change = (/** @type {Record<string, unknown>} */ values) => changeObjects([item.id], values);
  const colour = make("input", {
    type: "color",
    value: item.colour,
    title: "Colour",
    "aria-label": `Colour of ${item.name}`,
    disabled: !edits || Boolean(item.fixed),
  });
  if (item.fixed) colour.title = item.fixed;
  colour.onchange = () => change({ colour: colour.value });
  const pick = make(
    "button",
    {
      className: "pick",
      title: [item.name, item.category].filter(Boolean).join(", "),
      "aria-pressed": item.id === state.object,
      "data-focus": `pick${item.id}`,
      onclick: () => state.choose(item.id),
    },
    [span(item.name, "cut"), ...(item.category ? [span(item.category, "quiet cut")] : [])],
  );
  const marks = [item.id === state.object && "chosen", !item.visible && "off", item.group && "member"];
  const about = { className: marks.filter(Boolean).join(" ") };
  const row = make("li", { ...about, draggable: edits }, [
    colour,
    span(String(item.id), "number"),
    pick,
    ...toggles([item], item.name, item.id),
    ...(edits
      ? [
          iconButton("trash", `Remove ${item.name}`, () => remove(item.id), {
            "data-focus": `trash${item.id}`,
            disabled: state.isTracked(item.id),
          }),
        ]
      : []),
  ]);
  if (edits) letDrag(row, item);
  return row;
}

/** the object that is dragged in the list @type {number | null} */
let dragged = null;

/** Let a row be dragged to another place: the objects above it lie in front of it. */
function letDrag(/** @type {HTMLElement} */ row, /** @type {TrackedObject} */ item) {
  const isAfter = (/** @type {DragEvent} */ event) => {
    const { top, height } = row.getBoundingClientRect();
    return event.clientY > top + height / 2;
  };
  const mark = (/** @type {string} */ place) => {
    row.dataset.drop = place;
  };
  row.ondragstart = (event) => {
    dragged = item.id;
    event.dataTransfer?.setData("text/plain", item.name); // some browsers drag nothing else
  };
  row.ondragover = (event) => {
    if (dragged === null || dragged === item.id) return;
    event.preventDefault();
    event.stopPropagation();
    mark(isAfter(event) ? "after" : "before");
  };
  row.ondragleave = () => mark("");
  row.ondragend = () => {
    dragged = null;
  };
  row.ondrop = (event) => {
    mark("");
    if (dragged === null || dragged === item.id) return;
    event.preventDefault();
    event.stopPropagation();
    const others = state.objects.filter(({ id }) => id !== dragged);
    const place = others.findIndex(({ id }) => id === item.id) + Number(!isAfter(event));
    moveLayer(dragged, others[place]?.id ?? null);
    dragged = null;
  };
}

/** The line above the objects of a group. */
function groupRow(/** @type {string} */ name) {
  const members = state.objects.filter((item) => item.group === name);
  const pick = make(
    "button",
    {
      className: "pick",
      title: "Select the group: Track and Export use only its objects",
      "aria-pressed": state.group === name,
      "data-focus": `group${name}`,
      onclick: () => state.chooseGroup(name),
    },
    [icon("group"), span(name, "cut"), span(String(members.length), "quiet")],
  );
  return make("li", { className: `members ${state.group === name ? "chosen" : ""}` }, [
    pick,
    ...toggles(members, name, `s${name}`),
  ]);
}

/** What hides and locks objects. */
function toggles(
  /** @type {TrackedObject[]} */ items,
  /** @type {string} */ name,
  /** @type {string | number} */ focus,
) {
  const [visible, locked] = [items.some((item) => item.visible), items.some((item) => item.locked)];
  const change = (/** @type {Record<string, unknown>} */ values) =>
    changeObjects(
      items.map((item) => item.id),
      values,
    );
  const eye = iconButton(visible ? "eye" : "closed", `Show ${name}`, () => change({ visible: !visible }), {
    "data-focus": `eye${focus}`,
    "aria-pressed": visible,
  });
  const lock = iconButton(locked ? "lock" : "open", `Lock ${name}`, () => change({ locked: !locked }), {
    "data-focus": `lock${focus}`,
    "aria-pressed": locked,
  });
  return state.mode === "annotate" ? [eye, lock] : [eye];
}

function showHere() {
  const item = state.chosenObject;
  const mark = item && state.marksOf(item.id).get(state.frame);
  let text = item ? `${short(item.name)} has no mask here.` : "Select an object to see its properties.";
  if (state.group !== null)
    text = `Group ${state.group}: ${state.chosenIds.length === 1 ? "one object" : `${state.chosenIds.length} objects`}. Track and Export use only these.`;
  if (item && mark) {
    text = `${short(item.name)}: ${mark.area ? kindOf(mark) : "not visible"}`;
    if (mark.kind === "tracked" || (mark.kind === "imported" && mark.score < 1))
      text += `, confidence ${mark.score.toFixed(2)}`;
    else if (mark.score < 1) text += `, estimated IoU ${Math.round(100 * mark.score)} %`;
    text += mark.area ? `; ${mark.area.toLocaleString("en")} pixels.` : ".";
    if (mark.reviewed)
      text += mark.reviewer ? ` Reviewed by ${whose(mark.reviewer, state.user, state.guest)}.` : " Reviewed.";
  }
  element("here-text").textContent = text;
  showDoubt(mark);
  const near =
    item && !mark?.area && state.mode === "annotate" ? nearestMask(state.marksOf(item.id), state.frame) : null;
  element("nearest").hidden = near === null;
  fill(element("nearest"), [item?.id, near, item?.locked], () =>
    near === null
      ? []
      : [
          make("button", { textContent: `Go to frame ${near}`, onclick: () => go(near) }),
          make("button", {
            textContent: "Copy its mask here",
            disabled: Boolean(item?.locked),
            onclick: () => item && pasteOf(near, item.id),
          }),
        ],
  );
}

/** Warn that a mask probably fits badly, and offer corrections. */
function showDoubt(/** @type {import("./state.js").FrameAnnotation | undefined} */ mark) {
  const doubtful = state.mode === "annotate" && Boolean(mark && isDoubtful(mark, Number(state.settings.threshold)));
  element("doubtful").hidden = !doubtful;
  const readings = state.hasReadings
    ? [make("button", { textContent: "Next alternative (Shift M)", onclick: () => void nextCandidate() })]
    : [];
  fill(element("doubtful"), [doubtful, readings.length], () => [
    span("This mask probably fits badly.", "warn grow"),
    ...readings,
    make("button", { textContent: "Brush (B)", onclick: () => tools.use("brush") }),
  ]);
}

const kindOf = (/** @type {{kind: string, user?: string}} */ { kind, user = "" }) =>
  kind === "given"
    ? `corrected by ${whose(user, state.user, state.guest)}`
    : `${KINDS[kind]}${user ? ` by ${whose(user, state.user, state.guest)}` : ""}`;

function showFound() {
  const here = state.foundFrame === state.frame ? state.found : [];
  fill(element("found"), [state.foundAt, here.length], () =>
    here.map((item, i) => {
      const { box, label } = tick(item.label ?? "object", { checked: state.chosen.has(i) });
      box.onchange = () => {
        state.chosen[box.checked ? "add" : "delete"](i);
        state.changed();
      };
      within(label, "span")?.classList.add("grow");
      label.append(
        make("span", {
          className: "quiet",
          textContent: item.score === null ? "" : item.score.toFixed(2),
          title: "Estimated IoU, from 0 to 1",
        }),
      );
      return make("li", {}, [label]);
    }),
  );
  element("tab-found").textContent = here.length ? `Suggestions ${here.length}` : "Suggestions";
  commandButton("adopt").hidden = here.length === 0;
  commandButton("adopt").disabled = state.chosen.size === 0;
}

function showNext() {
  const items = state.unsure();
  element("tab-next").textContent = items.length ? `Review next ${items.length}` : "Review next";
  element("next-empty").hidden = items.length > 0;
  element("next-empty").textContent =
    `No frame has a confidence below ${state.settings.threshold}. This list shows frames with low confidence and frames where an object jumps or splits.`;
  /** @type {[number, number, string, string, string][]} */
  const shown = items.map(({ frame, object, text }) => [frame, object.id, object.name, object.colour, text]);
  fill(element("next"), shown, () =>
    shown.map(([frame, id, name, colour, text]) =>
      make("li", {}, [
        make(
          "button",
          {
            onclick: () => {
              state.choose(id);
              go(frame);
            },
          },
          [swatch(colour), span(`Frame ${frame}`), span(name, "quiet cut"), span(text, "meter quiet")],
        ),
      ]),
    ),
  );
}

/** the score that is on the page @type {Score | null} */
let shownScore = null;

function showScore() {
  if (state.score) drawCurve();
  if (!state.score || state.score === shownScore) return;
  shownScore = state.score;
  const { columns, rows } = state.score;
  const cells = (/** @type {string[]} */ values, /** @type {"th" | "td"} */ tag, more = {}) =>
    values.map((textContent) => make(tag, { textContent, ...more }));
  const line = (/** @type {Score["rows"][number]} */ { object, here, all: whole }) => {
    const values = [...(here ?? columns.map(() => null)), ...(whole ?? columns.map(() => null))];
    const name = state.objects.find((item) => item.id === object)?.name ?? "all";
    return make("tr", {}, [
      ...cells([name], "th", { scope: "row" }),
      ...cells(
        values.map((value) => (value === null ? "–" : value.toFixed(3))),
        "td",
      ),
    ]);
  };
  const head = cells(["Object", ...columns.map((name) => `${name} here`), ...columns], "th", { scope: "col" });
  const table = make("table", { className: "scores" }, [
    make("thead", {}, [make("tr", {}, head)]),
    make("tbody", {}, rows.map(line)),
  ]);
  const note = scoreNote(state.score, state.video.frames);
  const legend = DIFFERENCE.map(({ name, colour }) => make("div", { className: "key" }, [swatch(colour), span(name)]));
  const worst = make("button", { className: "wide", textContent: "Worst frame (W)", onclick: () => goWorst() });
  element("score").replaceChildren(
    table,
    make("p", { className: "quiet", textContent: note }),
    curvePart(state.score),
    worst,
    ...legend,
  );
}
