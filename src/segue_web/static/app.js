// The page: what the server tells, and the parts that are made once.

import { commands } from "./commands.js";
import { peopleDialog } from "./comments.js";
import { written } from "./help.js";
import { buttons, element, make, notice, span } from "./dom.js";
import { resumeDrafts } from "./drafts.js";
import { until } from "./edits.js";
import { icon } from "./icons.js";
import "./keys.js";
import "./layout.js";
import { ask, connect, giveName, hello, loadFrames, loadKeys, remember, showVideo, takeName } from "./link.js";
import { go, goUnsure } from "./playback.js";
import { wholeSchema } from "./schema.js";
import { COMPARE_MODES, state } from "./state.js";
import "./status.js";
import { offerDetectors } from "./suggestions.js";
import "./timeline.js";
import { TOOLS, tools } from "./tools.js";
import { videosDialog } from "./videos.js";
import { view } from "./view.js";

// What the server tells

/**
 * @typedef {typeof import("./state.js").state} State
 * @typedef {import("./state.js").TrackedObject} TrackedObject
 * @typedef {import("./state.js").Running} Running
 * @typedef {Parameters<State["setTimeline"]>[0]} TimelineRows
 * @typedef {Parameters<typeof wholeSchema>[0]} SchemaPart
 */
/** What is known where the page begins; what is left out is as if there were none of it.
 * @typedef {{mode: string, video: import("./state.js").Video, objects: TrackedObject[], timeline: TimelineRows,
 *   settings: Record<string, unknown>, history?: State["history"], revision?: number, running?: Running | null,
 *   exporting?: Running | null, loading?: boolean, queue?: State["queue"],
 *   names?: string[], schema?: SchemaPart, formats?: State["formats"], imports?: string[], import_formats?: string[],
 *   videos?: string[], second?: boolean, greet?:
 *   boolean,
 *   prompters?: State["prompters"], comments?: State["comments"], shapes?: State["shapes"], user?: string, guest?:
 *   boolean, folder?: string,
 *   detectors?: string[]}} Hello
 */
/** What has happened.
 * @typedef {{event: "changed", revision: number, comments?: State["comments"], shapes?: State["shapes"], schema?:
 *   SchemaPart, objects?:
 *   TrackedObject[], frames?: import("./state.js").FrameData[], timeline?: TimelineRows}} Changed
 * @typedef {{event: "loading", loading: boolean} | {event: "prompters", prompters:
 *   State["prompters"]}} Loaded
 * @typedef {({event: "progress"} & Running) | {event: "queue", queue: State["queue"]}
 *   | {event: "ended", job: string, error: string | null}} JobEvent
 * @typedef {{event: "failed", error: string} | {event: "exported", name: string, path: string}} Told
 * @typedef {{history?: State["history"]} & (Changed | Loaded | JobEvent | Told)} ServerEvent
 */

async function onState(/** @type {boolean} */ online, /** @type {boolean} */ mayReturn) {
  state.online = online;
  element("offline").hidden = online;
  let next = "Start segue again and use the new address.";
  if (!mayReturn) next = "This address is no longer used. Start segue again and use the new address.";
  else if (state.mode === "annotate")
    next = "Start segue annotate again. This page reconnects unless the terminal shows a different address.";
  element("offline").textContent = `The connection to segue is lost. All earlier changes are saved. ${next}`;
  if (!online) {
    state.changed();
    return;
  }
  const known = await hello();
  if (known) begin(known);
}

function begin(/** @type {Hello} */ known) {
  const first = state.mode === "loading";
  const isSame = known.video.version === state.video.version && String(known.videos ?? []) === String(state.videos);
  if (!first && !isSame) {
    showAgain(known.videos ?? []); // segue was started with another list, or the video has changed
    return;
  }
  const {
    mode,
    video,
    objects,
    timeline,
    settings,
    history = state.history,
    revision = 0,
    running = null,
    exporting = null,
    loading = false,
    queue = [],
    names = [],
    schema,
    formats = [],
    imports = [],
    import_formats = [],
    videos = [],
    greet = false,
    prompters = state.prompters,
    comments = [],
    shapes = [],
    second = false,
    user = "",
    guest = false,
    folder = "",
  } = known;
  Object.assign(state, {
    mode,
    history,
    revision,
    running,
    exporting,
    queue,
    loading,
    names,
    formats,
    imports,
    importFormats: import_formats,
    video,
    videos,
    prompters,
    comments,
    shapes,
    folder,
    schema: wholeSchema(schema),
  });
  if (first) Object.assign(state.settings, settings); // those of a page that comes back are its own, such as its range
  document.body.dataset.mode = mode;
  document.body.classList.toggle("several", videos.length > 0);
  state.setObjects(objects);
  state.setTimeline(timeline);
  state.outdateFrames(revision);
  if (greet) void videosDialog();
  if (first) {
    if (mode === "annotate" && takeName(user, guest)) void greetGuest();
    const name = second ? `${state.video.name} (second annotation)` : state.video.name;
    document.title = `${name} – segue`;
    element("video-name").textContent = name;
    element("video-name").title = folder;
    offerDetectors(known.detectors ?? []);
    fillModes();
    state.choose(state.objects[0]?.id ?? null);
    state.frame = Number(settings.frame) || 0;
    view.resize(true);
  }
  go(state.frame);
  if (first && mode === "annotate") resumeDrafts();
}

/** Load the page again with the video that it shows, whose number in the list may be another one now. */
function showAgain(/** @type {string[]} */ videos) {
  const { number = 0 } = state.video;
  const { length } = state.videos;
  const place = videos.indexOf(state.videos[number % Math.max(1, length)]);
  if (place < 0) location.reload();
  else showVideo(number < length ? place : place + videos.length);
}

/** names of people that a new browser is offered */
const OFFERED = 3;

/** Ask the person at a new browser who it is: somebody who worked on the project before, or another name. */
async function greetGuest() {
  const { user } = state;
  const answer = await ask("people");
  const names = (answer?.people ?? []).map((/** @type {{user: string}} */ person) => person.user);
  const known = names.filter((/** @type {string} */ name) => name && name !== user && !/^Person [0-9]+$/.test(name));
  const choices = known
    .slice(0, OFFERED)
    .map((/** @type {string} */ name) =>
      make("button", { textContent: `I am ${name}`, onclick: () => giveName(name) }),
    );
  const other = make("button", { textContent: "Enter your name", onclick: () => void peopleDialog() });
  notice(`Another browser also works on this project. Your changes are stored as ${user}.`, "", [...choices, other]);
}

function onEvent(/** @type {ServerEvent} */ event) {
  if (event.history) state.history = event.history;
  if (event.event === "changed") {
    state.revision = event.revision;
    if (event.comments) state.comments = event.comments;
    if (event.shapes) state.shapes = event.shapes;
    if (event.schema) state.schema = wholeSchema(event.schema);
    if (event.objects || event.schema) state.setObjects(event.objects ?? state.known);
    for (const item of event.frames ?? []) state.setFrameData(item);
    if (event.timeline) {
      state.setTimeline(event.timeline);
      state.outdateFrames(event.revision);
      void loadFrames([state.frame]);
    }
    state.saved = "Saved";
  } else if (event.event === "loading") {
    state.loading = event.loading;
  } else if (event.event === "prompters") {
    state.prompters = event.prompters;
  } else if (event.event === "progress") {
    state[event.job === "export" ? "exporting" : "running"] = event;
  } else if (event.event === "queue") {
    state.queue = event.queue;
  } else if (event.event === "ended") {
    const { running } = state;
    state[event.job === "export" ? "exporting" : "running"] = null;
    if (event.error) notice(event.error, "bad");
    else if (event.job !== "export" && !state.queue.length && running && (running.user ?? "") === state.user)
      offerNext(running);
  } else if (event.event === "failed") {
    notice(event.error, "bad");
  } else if (event.event === "exported") {
    const anchor = make("a", {
      href: `exports/${encodeURIComponent(event.name)}?${new URLSearchParams({ path: event.path })}`,
      textContent: "Download",
      download: "",
    });
    notice(`Exported to ${event.path}`, "good", [anchor]);
  }
  state.changed();
}

/** Say how far a tracking of this person came, and offer the frame that a correction would help most. */
function offerNext(/** @type {Running} */ { done, computed = done }) {
  const reached =
    computed < done
      ? `The correction was tracked through ${computed} of ${done} frames; the others keep their masks.`
      : "";
  const [next] = state.unsure();
  if (!next || next.frame === state.frame) {
    if (reached) notice(reached);
    return;
  }
  const { frame, object, text } = next;
  const { revision } = state;
  const button = make("button", { textContent: "Go there", onclick: goUnsure });
  const box = notice(`${reached} Next to review: frame ${frame}, ${object.name} (${text}).`.trim(), "", [button]);
  until(box, () => state.revision !== revision && state.unsure()[0]?.frame !== frame);
}

/** the person whose keys were asked for @type {string | null} */
let keysOf = null;
state.listen(() => {
  if (!state.editable || keysOf === state.user) return;
  keysOf = state.user;
  void loadKeys();
});

// Parts that are made once

function fillModes() {
  element("compare-modes").replaceChildren(
    ...COMPARE_MODES.map(([id, name]) =>
      make("button", {
        textContent: name,
        role: "radio",
        "data-mode": id,
        onclick: () =>
          view.arrange(() => {
            state.compare = id;
          }),
      }),
    ),
  );
}

function toolButton(/** @type {import("./tools.js").ToolInfo} */ tool) {
  const about = { role: "radio", "aria-label": tool.name, "data-tool": tool.id };
  return make("button", { ...about, onclick: () => tools.use(tool.id) }, [
    icon(tool.icon),
    span(tool.label),
    make("kbd", { "aria-hidden": "true" }),
  ]);
}

function slider(
  /** @type {string} */ id,
  /** @type {string} */ label,
  /** @type {string} */ name,
  /** @type {number} */ min,
  /** @type {number} */ max,
  /** @type {number} */ step,
) {
  const input = make("input", { type: "range", id, min, max, step, title: name, "aria-label": name });
  input.oninput = () => {
    state.settings[id] = Number(input.value);
    state.changed();
  };
  input.onchange = () => remember(id, Number(input.value));
  return make("label", {}, [label, input]);
}

for (const button of buttons("[data-command]")) {
  const command = commands[button.dataset.command ?? ""];
  button.title = command.name + (command.keys ? ` (${written(command.keys)})` : "");
  button.setAttribute("aria-label", command.name);
  button.prepend(icon(command.icon), ...(command.text ? [span(command.text, "text")] : []));
  const isItem = Boolean(button.closest(".menu, .menu-items"));
  if (isItem) button.append(make("kbd", { "aria-hidden": "true" }));
  if (button.hasAttribute("popovertarget")) continue; // it opens a menu
  button.onclick = (/** @type {MouseEvent} */ { detail }) => {
    command.run();
    if (detail) button.blur(); // after a click, keys such as Space are for the video
  };
}
element("tools").prepend(...TOOLS.map(toolButton));
element("tools").append(
  slider("brush", "Size", "Size of the brush", 2, 200, 1),
  slider("opacity", "Opacity", "Opacity of the masks", 0, 1, 0.05),
);
element("zoom").onclick = () => {
  view.fit();
  state.changed();
};
const [frame, threshold] = [element("frame"), element("threshold")];
frame.onchange = () => go(Number(frame.value) || 0);
for (const [id, value] of /** @type {["speed" | "stride" | "seek", (text: string) => string | number][]} */ ([
  ["speed", Number],
  ["stride", (text) => Math.min(9999, Math.max(2, Math.round(Number(text)) || 10))],
  ["seek", (text) => text],
])) {
  // Keys are for the video again.
  element(id).onchange = () => {
    remember(id, value(element(id).value));
    element(id).blur();
  };
}
threshold.onchange = () => remember("threshold", Math.min(1, Math.max(0, Number(threshold.value) || 0)));
connect(onEvent, onState);
