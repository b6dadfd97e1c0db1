// Several videos: a list with the progress of each, of which one is open at a time.

import { commits } from "./comments.js";
import { dialog, make, within, span } from "./dom.js";
import { assign, start, switchVideo } from "./edits.js";
import { ask } from "./link.js";
import { contribution } from "./people.js";
import { state } from "./state.js";

/**
 * What is known of a video; the numbers where it was begun.
 * @typedef {{name: string, frames?: number, annotated?: number, reviewed?: number, objects?: number, error?: string,
 *   assigned?: string, people?: import("./people.js").Person[]}} VideoRow
 */

/** Opens another video, after the changes that were made before; all pages load it. */
export const openVideo = (/** @type {number} */ number, onward = false) => void switchVideo(number, onward);

/** The number of the video after the open one, if there is one. */
export const nextVideo = () => (state.video.number ?? 0) + 1;

export async function videosDialog() {
  /** @type {{videos: VideoRow[], open: number} | undefined} */
  const answer = await ask("videos");
  if (!answer) return;
  const [masks, done] = /** @type {("annotated" | "reviewed")[]} */ (["annotated", "reviewed"]).map((key) =>
    answer.videos.reduce((sum, item) => sum + (item[key] ?? 0), 0),
  );
  const known = answer.videos.flatMap(({ assigned, people = [] }) => [assigned, ...people.map(({ user }) => user)]);
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
    const person = make("input", {
      type: "search",
      value: item.assigned ?? "",
      maxLength: 80,
      placeholder: "nobody",
      "aria-label": `Person of ${item.name}`,
      autocomplete: "off",
    });
    person.setAttribute("list", "persons");
    let seen = item.assigned ?? "";
    person.onchange = async () => {
      const name = person.value.trim();
      if (await assign(number, name, seen)) seen = name;
    };
    person.onkeydown = commits;
    return make("li", { className: here ? "row chosen" : "row" }, [button, ...about, person]);
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
      textContent: `${masks} frames annotated, ${done} of them reviewed. Each video keeps its own project.`,
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
  if (frames === undefined) return "not begun";
  return `${annotated} of ${frames} frames, ${reviewed} reviewed, ${objects === 1 ? "1 object" : `${objects} objects`}`;
}
