// The page: what ties the parts together, and what the server tells.

import { tieAbout } from "./about.js";
import { Beside } from "./beside.js";
import { makeCommands } from "./commands.js";
import { written } from "./dialogs.js";
import { Edits } from "./edits.js";
import { icon } from "./icons.js";
import { tieKeys } from "./keys.js";
import { Link, Refused } from "./link.js";
import { element, make, notice, showScore } from "./panels.js";
import { Playback } from "./playback.js";
import { State } from "./state.js";
import { tieStatus } from "./status.js";
import { Suggestions } from "./suggestions.js";
import { Timeline } from "./timeline.js";
import { TOOLS, Tools } from "./tools.js";
import { View } from "./view.js";

const state = new State();
const link = new Link(onEvent, onState);
const view = new View(/** @type {HTMLCanvasElement} */ (element("canvas")), state, look);
const timeline = new Timeline(/** @type {HTMLCanvasElement} */ (element("timeline")), state, (frame, dragging) => playback.go(frame, dragging));
const playback = new Playback(state, view, timeline, settle);
const edits = new Edits(state, link, { look, go: (frame, dragging) => playback.go(frame, dragging), complain });
const tools = new Tools(view, state, edits, () => playback.hold());
edits.onAnswered = (/** @type {[number, number, boolean][]} */ points) => tools.answered(points);
view.onError = (/** @type {string} */ text) => notice(text, "bad");
const page = { state, view, tools, playback, edits, suggestions: new Suggestions(state, ask, remember), ask, remember, track, start, stop };
const commands = makeCommands(page);

/** @typedef {import("./state.js").Look} Look */

// Talking to the server

/** @param {unknown} error */
function complain(error) {
  notice(error instanceof Error ? error.message : String(error), "bad");
  if (error instanceof Refused && error.stale) { state.forgetLooks(0); void view.load(false, 0); }
}

/** @param {string} op @param {object} [fields] */
function ask(op, fields) {
  return link.ask(op, fields).catch(complain);
}

/** Ask for frames, again where the answer is from before a change that the page has heard of. @param {number[]} frames */
async function look(frames) {
  const answer = await link.ask("look", { frames: frames.slice(0, 64) }).catch(() => null);
  const old = (answer?.frames ?? []).filter((/** @type {Look} */ item) => !state.setLook(item) && !state.looks.has(item.frame));
  state.changed();
  if (old.length) await look(old.map((/** @type {Look} */ item) => item.frame));
}

/** @param {boolean} online */
async function onState(online) {
  state.online = online;
  const box = element("offline");
  box.hidden = online;
  box.textContent = "The connection to segue is lost. Everything up to here is saved; trying again …";
  if (!online) { state.changed(); return; }
  let all = await link.ask("hello").catch(complain);
  while (all && all.revision < state.revision) all = await link.ask("hello").catch(complain);
  if (all) begin(all);
}

/** @param {any} all */
function begin(all) {
  const first = state.mode === "loading";
  state.mode = all.mode;
  document.body.dataset.mode = all.mode;
  state.video = state.index ?? all.video;
  state.revision = all.revision ?? 0;
  state.setObjects(all.objects);
  state.history = all.history ?? state.history;
  state.running = all.running ?? null;
  state.interrupted = all.interrupted ?? null;
  state.names = all.names ?? [];
  state.classes = all.classes ?? [];
  Object.assign(state.settings, all.settings);
  state.setTimeline(all.timeline);
  state.forgetLooks(state.revision);
  if (first) {
    document.title = `${state.video.name} – segue`;
    element("video-name").textContent = state.video.name;
    element("video-name").title = all.folder ?? "";
    page.suggestions.fill(all.detectors ?? []);
    fillModes();
    state.choose(state.objects[0]?.id ?? null);
    state.frame = Math.min(Number(state.settings.frame) || 0, state.video.frames - 1);
    applySettings();
    view.resize(true);
    timeline.reset();
  }
  const resume = state.interrupted;
  if (resume && !state.running) offerResume(resume);
  playback.go(state.frame, false);
}

/** @param {{done: number, total: number, direction: string}} job */
function offerResume(job) {
  const button = make("button", { textContent: "Go on", onclick: () => { button.closest(".notice")?.remove(); void resume(); } });
  notice(`Tracking was interrupted after ${job.done} of ${job.total} frames.`, "", [button]);
}

async function resume() {
  await start("track", { direction: "forward", frame: state.frame, resume: true });
}

/** The video is read through, or a part of it is: only then are frame numbers exact. @param {import("./state.js").Video} video */
function readIndex(video) {
  state.saved = video.exact ? "" : `reading the video's index, ${Math.round(100 * video.progress)} %`;
  if (!video.exact) return;
  state.index = video;
  if (state.mode === "loading") return;
  state.video = video;
  view.reset();
  timeline.reset();
  playback.go(Math.min(state.frame, video.frames - 1), false);
}

/** @param {import("./state.js").ServerEvent} event */
function onEvent(event) {
  if (event.event === "changed") {
    state.revision = event.revision;
    if (event.history) state.history = event.history;
    if (event.objects) state.setObjects(event.objects);
    if (event.polygons) state.forgetLooks(event.revision);
    for (const item of event.frames ?? []) state.setLook(item);
    if (event.polygons && !event.timeline) void view.load(false, 2);
    if (event.timeline) {
      state.setTimeline(event.timeline);
      state.forgetLooks(event.revision);
      void view.load(false, 0);
    }
    state.saved = "Saved";
  } else if (event.event === "video") {
    readIndex(event.video);
  } else if (event.event === "progress") {
    state.running = /** @type {any} */ (event);
  } else if (event.event === "ended") {
    state.running = null;
    state.interrupted = event.interrupted;
    if (event.error) notice(event.error, "bad");
  } else if (event.event === "exported") {
    const anchor = make("a", { href: `exports/${encodeURIComponent(event.name)}`, textContent: "Download", download: "" });
    notice(`Exported to ${event.path}`, "good", [anchor]);
  } else if (event.event === "score" && event.frame === state.frame) {
    showScore(state, event.score);
  }
  state.changed();
}

function settle() {
  if (state.mode === "annotate" && state.tool !== "hand") void link.ask("prepare", { frame: state.frame }).catch(() => undefined);
  const { frame } = state;
  if (state.mode === "compare") link.ask("score", { frame }).then((answer) => { if (state.frame === frame) showScore(state, answer.score); }).catch(complain);
  void link.ask("settings", { values: { frame } }).catch(() => undefined);
}

/** @param {"forward" | "back" | "between"} direction */
async function track(direction) {
  playback.hold();
  const { frame, wanted: [first, last] } = state;
  await start("track", { direction, frame, first, last, objects: state.group === null ? null : state.chosenIds });
}

/** Begin a tracking or an export, after the edits that were made before. @param {string} op @param {object} fields */
async function start(op, fields) {
  state.starting = true;
  return edits.inTurn(() => link.ask(op, fields)).catch(complain).finally(() => { state.starting = false; });
}

/** End a tracking or an export, also one that has not begun yet. */
async function stop() {
  if (state.starting) return edits.inTurn(() => link.ask("stop")).catch(complain);
  return ask("stop");
}

/** @param {string} key @param {any} value */
function remember(key, value) {
  state.settings[key] = value;
  applySettings();
  void link.ask("settings", { values: { [key]: value } }).catch(() => undefined);
}

function applySettings() {
  document.documentElement.dataset.theme = state.settings.theme;
  for (const id of ["brush", "opacity", "threshold"]) {
    const input = /** @type {HTMLInputElement | null} */ (document.getElementById(id));
    if (input && document.activeElement !== input) input.value = String(state.settings[id]);
  }
  state.changed();
}

// Wiring

function fillModes() {
  element("compare-modes").replaceChildren(...state.compareModes.map(([id, name]) => {
    const button = make("button", { textContent: name, role: "radio", "data-mode": id });
    button.onclick = () => view.arrange(() => { state.compare = id; });
    return button;
  }));
}

function buildTools() {
  const bar = element("tools");
  for (const tool of TOOLS) {
    const button = make("button", { role: "radio", title: `${tool.name} (${tool.key.toUpperCase()})\n${tool.hint}`, "aria-label": tool.name, "aria-keyshortcuts": tool.key, "data-tool": tool.id }, [icon(tool.icon), make("span", { textContent: tool.label }), make("kbd", { textContent: tool.key.toUpperCase(), "aria-hidden": "true" })]);
    button.onclick = () => useTool(tool.id);
    bar.append(button);
  }
  const slider = (/** @type {string} */ id, /** @type {string} */ name, /** @type {number} */ low, /** @type {number} */ high, /** @type {number} */ step) => {
    const input = make("input", { type: "range", id, min: low, max: high, step, title: name, "aria-label": name });
    input.oninput = () => { state.settings[id] = Number(input.value); state.changed(); };
    input.onchange = () => remember(id, Number(input.value));
    return make("label", {}, [id === "brush" ? "Size" : "Opacity", input]);
  };
  bar.append(make("hr"), slider("brush", "Size of the brush", 2, 200, 1), slider("opacity", "Opacity of the masks", 0, 1, 0.05));
}

/** @param {string} id */
function useTool(id) {
  tools.cancel();
  state.tool = id;
  state.changed();
}

for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-command]"))) {
  const command = commands[/** @type {string} */ (button.dataset.command)];
  const keys = command.keys ? ` (${written(command.keys)})` : "";
  button.title = command.name + keys;
  button.setAttribute("aria-label", command.name);
  button.append(icon(command.icon));
  if (command.text) button.append(make("span", { className: "text", textContent: command.text }));
  button.onclick = () => command.run();
}
buildTools();
tieAbout(state, (id, values) => edits.change(id, values));
tieKeys(page, commands, useTool);
tieStatus(page, commands);
new Beside(state, ask);
const frameInput = /** @type {HTMLInputElement} */ (element("frame"));
frameInput.onchange = () => playback.go(Number(frameInput.value) || 0, false);
const thresholdInput = /** @type {HTMLInputElement} */ (element("threshold"));
thresholdInput.onchange = () => remember("threshold", Math.min(1, Math.max(0, Number(thresholdInput.value) || 0)));
