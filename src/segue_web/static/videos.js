// Several videos: a list with the progress of each, of which one is open at a time.

import { commits } from "./comments.js";
import { dialog, make, within, span } from "./dom.js";
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

/** Opens another video, after the changes that were made before; all pages load it. */
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
    return make("li", { className: here ? "chosen" : "" }, [
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
  const box = dialog(`${answer.videos.length} videos`, [
    make("p", {
      className: "quiet",
      textContent: `${masks} frames annotated, ${done} of them reviewed. Videos: ${STATES.map(
        ([id, name]) => `${answer.videos.filter((item) => item.state === id).length} ${name}`,
      ).join(", ")}.`,
    }),
    make("ul", { className: "videos" }, rows),
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
  box.classList.add("broad");
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
    placeholder: role === "person" ? "not assigned" : "no second annotator",
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
