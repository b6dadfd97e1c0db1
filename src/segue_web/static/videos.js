// Several videos: a list with the progress of each; a page shows one of them.

import { commits } from "./comments.js";
import { dialog, make, span, tick, within } from "./dom.js";
import { assign, setState, start, switchVideo } from "./edits.js";
import { ask } from "./link.js";
import { contribution } from "./people.js";
import { state } from "./state.js";

/**
 * What is known of a video; the numbers where it was begun.
 * @typedef {{name: string, frames?: number, annotated?: number, reviewed?: number, objects?: number, error?: string,
 *   assigned?: string, reviewer?: string, state: string, by?: string, agreement?: number, people?:
 *   import("./people.js").Person[], second?: {annotated: number, people: import("./people.js").Person[]}}} VideoRow
 */

/** Show another video in this page, after the changes that were made before. */
export const openVideo = (/** @type {number} */ number, onward = false, second = false) =>
  void switchVideo(number, onward, second);

/** The number of the video after the open one, if there is one; second looks have numbers after all videos. */
export const nextVideo = () => ((state.video.number ?? 0) % Math.max(1, state.videos.length)) + 1;

/** states of a video, and what they are called */
const STATES = [
  ["open", "open"],
  ["work", "in work"],
  ["review", "to review"],
  ["done", "done"],
];

/** heads of the columns of the list */
const HEADS = ["Video", "Progress", "State", "Annotator", "Second annotator", "", ""];

/** the part of a video's frames that have masks */
const share = (/** @type {VideoRow} */ { frames = 0, annotated = 0 }) => annotated / Math.max(1, frames);

/** orders of the list: name, and which of two videos comes first
 * @type {[string, (a: VideoRow, b: VideoRow) => number][]}
 */
const ORDERS = [
  ["folder", () => 0],
  ["name", (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true })],
  ["progress, least first", (a, b) => share(a) - share(b)],
  ["state", (a, b) => STATES.findIndex(([id]) => id === a.state) - STATES.findIndex(([id]) => id === b.state)],
  ["annotator", (a, b) => (a.assigned || "\uffff").localeCompare(b.assigned || "\uffff")],
];

/**
 * The numbers of the videos that a search leaves, in its order; ``mine``: only those that a person annotates or
 * reviews. @param {VideoRow[]} videos
 * @param {{text: string, mine: string, state: string, order: number}} wanted
 */
export function listed(videos, { text, mine, state: wanted, order }) {
  const [, compare] = ORDERS[order];
  const searched = text.trim().toLowerCase();
  return videos
    .map((item, number) => ({ item, number }))
    .filter(
      ({ item }) =>
        item.name.toLowerCase().includes(searched) &&
        (!mine || item.assigned === mine || item.reviewer === mine) &&
        (!wanted || item.state === wanted),
    )
    .sort((a, b) => compare(a.item, b.item) || a.number - b.number)
    .map(({ number }) => number);
}

export async function videosDialog() {
  /** @type {{videos: VideoRow[], open: number} | undefined} */
  const answer = await ask("videos");
  if (!answer) return;
  const [masks, done] = /** @type {("annotated" | "reviewed")[]} */ (["annotated", "reviewed"]).map((key) =>
    answer.videos.reduce((sum, item) => sum + (item[key] ?? 0), 0),
  );
  const known = answer.videos.flatMap(({ assigned, reviewer, people = [] }) => [
    assigned,
    reviewer,
    ...people.map(({ user }) => user),
  ]);
  const names = new Set([state.user, ...known].filter(Boolean));
  const rows = answer.videos.map((item, number) => {
    const here = number === answer.open;
    const button = make(
      "button",
      {
        className: "pick grow",
        "aria-current": here,
        title: item.error ?? item.name,
        onclick: () => {
          box.close();
          if (!here) openVideo(number);
        },
      },
      [span(item.name, "cut")],
    );
    const about = item.error ? [span(item.error, "failure")] : [meter(item), progressOf(item)];
    return make("li", { className: here ? "chosen" : "", "data-video": String(number) }, [
      make("div", { className: "row" }, [button, ...about]),
      make(
        "div",
        { className: "row task" },
        taskOf(item, number, answer, () => box.close()),
      ),
    ]);
  });
  const select = make(
    "select",
    { "aria-label": "Format" },
    state.formats.map(({ id, name }) => make("option", { value: id, textContent: name })),
  );
  const run = () => {
    box.close();
    void start("export_all", { format: select.value });
  };
  const search = make("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search the videos",
    maxLength: 80,
  });
  const onlyMine = tick("Only mine", { disabled: !state.user });
  onlyMine.label.className = "tick";
  const ofState = make("select", { "aria-label": "Show videos of a state" }, [
    make("option", { value: "", textContent: "all states" }),
    ...STATES.map(([value, textContent]) => make("option", { value, textContent })),
  ]);
  const sort = make(
    "select",
    { "aria-label": "Order of the videos" },
    ORDERS.map(([textContent], value) => make("option", { value, textContent: `by ${textContent}` })),
  );
  const list = make("ul", { className: "videos" }, rows);
  const arrange = () => {
    const shown = listed(answer.videos, {
      text: search.value,
      mine: onlyMine.box.checked ? state.user : "",
      state: ofState.value,
      order: Number(sort.value),
    });
    list.replaceChildren(...shown.map((number) => rows[number]));
  };
  search.oninput = onlyMine.box.onchange = ofState.onchange = sort.onchange = arrange;
  const box = dialog(`${answer.videos.length} videos`, [
    make("p", {
      className: "quiet",
      textContent: `${masks} frames annotated, ${done} of them reviewed. Videos: ${STATES.map(
        ([id, name]) => `${answer.videos.filter((item) => item.state === id).length} ${name}`,
      ).join(", ")}.`,
    }),
    make("div", { className: "row listing" }, [search, onlyMine.label, ofState, sort]),
    make(
      "div",
      { className: "videos-head quiet", "aria-hidden": "true" },
      HEADS.map((text) => span(text)),
    ),
    list,
    make(
      "datalist",
      { id: "persons" },
      [...names].sort().map((value) => make("option", { value })),
    ),
    make("div", { className: "row" }, [
      make("label", { className: "grow" }, ["Export all as", select]),
      make("button", { textContent: "Export all", onclick: run, disabled: !masks || Boolean(state.exporting) }),
    ]),
  ]);
  box.classList.add("wide");
  within(box, "[aria-current=true]")?.focus();
}

/** The task of a video: state, person, second annotator and agreement. */
function taskOf(
  /** @type {VideoRow} */ item,
  /** @type {number} */ number,
  /** @type {{videos: VideoRow[], open: number}} */ { videos, open },
  /** @type {() => void} */ close,
) {
  const states = make(
    "select",
    { "aria-label": `State of ${item.name}`, title: item.by ? `set by ${item.by}` : "" },
    STATES.map(([value, textContent]) => make("option", { value, textContent })),
  );
  states.value = item.state;
  states.onchange = async () => {
    if (await setState(number, states.value, item.state)) item.state = states.value;
    else states.value = item.state;
  };
  const second = number + videos.length;
  const look = make("button", {
    textContent: item.second ? `Second annotation: ${item.second.annotated} frames` : "Second annotation",
    title: "Annotate the video again in a separate project that hides the first",
    "aria-current": second === open,
    onclick: () => {
      close();
      if (second !== open) openVideo(number, false, true);
    },
  });
  const agreed = make("button", {
    textContent: item.agreement === undefined ? "Agreement" : `Agreement ${item.agreement.toFixed(2)}`,
    title: "Mean IoU of the objects on the frames annotated in both projects",
    disabled: !item.second?.annotated || !item.annotated,
    onclick: async () => {
      const answer = await ask("agreement", { number });
      if (answer) agreementDialog(item.name, answer);
    },
  });
  return [
    states,
    personField(item, number, "person", item.assigned ?? ""),
    personField(item, number, "reviewer", item.reviewer ?? ""),
    look,
    agreed,
  ];
}

/** The field of who has a video, or who has a second look at it. */
function personField(
  /** @type {VideoRow} */ item,
  /** @type {number} */ number,
  /** @type {"person" | "reviewer"} */ role,
  /** @type {string} */ seen,
) {
  const field = make("input", {
    type: "search",
    value: seen,
    maxLength: 80,
    placeholder: role === "person" ? "not assigned" : "none",
    "aria-label": `${role === "person" ? "Person" : "Reviewer"} of ${item.name}`,
    autocomplete: "off",
  });
  field.setAttribute("list", "persons");
  field.onchange = async () => {
    const name = field.value.trim();
    if (await assign(number, name, seen, role)) seen = name;
  };
  field.onkeydown = commits;
  return field;
}

/**
 * How far two people agree on a video, by object. @param {string} name
 * @param {{mean: number, objects: {first: string | null, second: string | null, iou: number, frames: number}[]}} answer
 */
function agreementDialog(name, { mean, objects }) {
  const cells = (/** @type {string[]} */ texts, /** @type {"th" | "td"} */ tag) =>
    texts.map((textContent) => make(tag, { textContent }));
  const rows = objects.map(({ first, second, iou, frames }) =>
    make("tr", {}, cells([first ?? "–", second ?? "–", iou.toFixed(3), String(frames)], "td")),
  );
  dialog(`Agreement on ${name}: ${mean.toFixed(3)}`, [
    make("p", {
      className: "quiet",
      textContent: "IoU per object on the frames annotated in both; 0 if only one has the object.",
    }),
    make("table", { className: "scores" }, [
      make("thead", {}, [make("tr", {}, cells(["First", "Second", "IoU", "Frames"], "th"))]),
      make("tbody", {}, rows),
    ]),
  ]);
}

/** Annotated and reviewed frames of a video, as shares of its frames. */
function meter(/** @type {VideoRow} */ { frames = 0, annotated = 0, reviewed = 0 }) {
  const bar = (/** @type {number} */ value, /** @type {string} */ name) =>
    make("progress", { max: Math.max(1, frames), value, "aria-label": name, className: name });
  return make("span", { className: "meters" }, [bar(annotated, "annotated"), bar(reviewed, "reviewed")]);
}

/** How far a video is, and who has done what. */
const progressOf = (/** @type {VideoRow} */ item) =>
  make("span", { className: "quiet" }, [
    said(item),
    ...(item.people ?? []).map((person) => make("div", { textContent: `${person.user}: ${contribution(person)}` })),
  ]);

function said(/** @type {VideoRow} */ { frames, annotated = 0, reviewed = 0, objects = 0 }) {
  if (frames === undefined) return "not started";
  return `${annotated} of ${frames} frames, ${reviewed} reviewed, ${objects === 1 ? "1 object" : `${objects} objects`}`;
}
