// The page: commands, keys, and what ties the parts together.

import { showClass, tieClass } from "./classes.js";
import { exportDialog, helpDialog, importDialog, written } from "./dialogs.js";
import { icon } from "./icons.js";
import { Link, Refused } from "./link.js";
import { element, make, notice, showFound, showHere, showNext, showObjects, showScore } from "./panels.js";
import { State } from "./state.js";
import { Timeline } from "./timeline.js";
import { TOOLS, Tools } from "./tools.js";
import { View } from "./view.js";

/** @typedef {{name: string, icon: string, keys?: string, text?: string, run: () => void, can?: () => boolean}} Command */

const state = new State();
const link = new Link(onEvent, onState);
const view = new View(/** @type {HTMLCanvasElement} */ (element("canvas")), state, look);
const tools = new Tools(view, state, { click, stroke });
const timeline = new Timeline(/** @type {HTMLCanvasElement} */ (element("timeline")), state, go);
view.onError = (/** @type {string} */ text) => notice(text, "bad");

// Talking to the server

/** @param {unknown} error */
function complain(error) {
  notice(error instanceof Error ? error.message : String(error), "bad");
  if (error instanceof Refused && error.stale) { state.looks.clear(); void view.load(false, 0); }
}

/** @param {string} op @param {object} [fields] */
function ask(op, fields) {
  return link.ask(op, fields).catch(complain);
}

/** @param {number[]} frames */
async function look(frames) {
  const answer = await link.ask("look", { frames: frames.slice(0, 64) }).catch(() => null);
  for (const item of answer?.frames ?? []) state.setLook(item);
  state.changed();
}

/** @param {boolean} online */
async function onState(online) {
  state.online = online;
  const box = element("offline");
  box.hidden = online;
  box.textContent = "The connection to segue is lost. Everything up to here is saved; trying again …";
  if (!online) { state.changed(); return; }
  const all = await link.ask("hello").catch(complain);
  if (all) begin(all);
}

/** @param {any} all */
function begin(all) {
  const first = state.mode === "loading";
  state.mode = all.mode;
  document.body.dataset.mode = all.mode;
  state.film = all.film;
  state.objects = all.objects;
  state.history = all.history ?? state.history;
  state.running = all.running ?? null;
  state.interrupted = all.interrupted ?? null;
  state.names = all.names ?? [];
  state.classes = all.classes ?? [];
  Object.assign(state.settings, all.settings);
  state.setTimeline(all.timeline);
  state.looks.clear();
  if (first) {
    document.title = `${state.film.name} – segue`;
    element("film-name").textContent = state.film.name;
    element("film-name").title = all.folder ?? "";
    fillDetectors(all.detectors ?? []);
    fillModes();
    state.object = state.objects[0]?.id ?? null;
    state.frame = Math.min(Number(state.settings.frame) || 0, state.film.frames - 1);
    applySettings();
    view.resize(true);
    timeline.reset();
  }
  const resume = state.interrupted;
  if (resume && !state.running) offerResume(resume);
  if (!state.film.exact) watchIndex();
  go(state.frame, false);
}

/** @param {{done: number, total: number, direction: string}} job */
function offerResume(job) {
  const button = make("button", { textContent: "Go on", onclick: () => { button.closest(".notice")?.remove(); void resume(); } });
  notice(`Tracking was interrupted after ${job.done} of ${job.total} frames.`, "", [button]);
}

async function resume() {
  await ask("track", { direction: "forward", frame: state.frame, resume: true });
}

function watchIndex() {
  const timer = setInterval(async () => {
    const all = await link.ask("hello").catch(() => null);
    if (!all) return;
    element("saved").textContent = all.film.exact ? "" : `reading the film's index, ${Math.round(100 * all.film.progress)} %`;
    if (all.film.exact) {
      clearInterval(timer);
      state.film = all.film;
      view.reset();
      timeline.reset();
      go(Math.min(state.frame, state.film.frames - 1), false);
    }
  }, 1000);
}

/** @param {import("./state.js").ServerEvent} event */
function onEvent(event) {
  if (event.event === "changed") {
    if (event.history) state.history = event.history;
    if (event.objects) {
      state.objects = event.objects;
      if (!state.chosenObject) state.object = state.objects[state.objects.length - 1]?.id ?? null;
    }
    for (const item of event.frames ?? []) state.setLook(item);
    if (following && state.running && event.frames?.length === 1) go(event.frames[0].frame, false, true);
    if (event.timeline) {
      state.setTimeline(event.timeline);
      state.looks.clear();
      void view.load(false, 0);
    }
    element("saved").textContent = "Saved";
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

// Changes

/** @type {Record<string, string>} */
const EXTENTS = { whole: "the object", part: "a part of it", group: "more than it" };

/** @param {number} frame */
function seen(frame) {
  return state.looks.get(frame)?.revision ?? 0;
}

/** @param {[number, number, boolean][]} points @param {number[] | null} box @param {string} [extent] */
function click(points, box, extent) {
  const frame = state.frame;
  link.inTurn(async () => {
    if (!state.looks.has(frame)) await look([frame]);
    const before = state.object === null ? null : state.looks.get(frame)?.prompts[state.object];
    const all = box ? [] : [...(before?.points ?? []), ...points];
    const meant = extent ?? before?.extent ?? "whole";
    const answer = await link.ask("click", { frame, object: state.object, points: all, box: box ?? before?.box ?? null, extent: meant, seen: seen(frame) });
    choose(answer.object);
    if (answer.extents.length > 1 && (extent || !before)) tellExtent(answer.extent, answer.extents);
  }).catch(complain).finally(() => tools.answered(points));
}

/** What clicks alone may mean on this frame, if there is a choice. @returns {{extent: string, extents: string[]} | null} */
function meant() {
  const given = state.object === null ? null : state.looks.get(state.frame)?.prompts[state.object];
  return given?.extent && given.extents && given.extents.length > 1 ? { extent: given.extent, extents: given.extents } : null;
}

/** @param {string} extent @param {string[]} extents */
function tellExtent(extent, extents) {
  const others = extents.filter((name) => name !== extent).map((name) => EXTENTS[name]);
  notice(`This is ${EXTENTS[extent]}; O shows ${others.join(", then ")}.`);
}

function otherExtent() {
  const now = meant();
  if (now) click([], null, now.extents[(now.extents.indexOf(now.extent) + 1) % now.extents.length]);
}

/** @param {string} counts @param {boolean} add */
function stroke(counts, add) {
  const frame = state.frame;
  link.inTurn(async () => {
    if (!state.looks.has(frame)) await look([frame]);
    const answer = await link.ask("stroke", { frame, object: state.object, counts, add, seen: seen(frame) });
    choose(answer.object);
  }).catch(complain);
}

/** @param {boolean} hidden */
function forget(hidden) {
  const frame = state.frame;
  if (state.object === null) return;
  link.inTurn(() => link.ask("forget", { frame, object: state.object, hidden, seen: seen(frame) })).catch(complain);
}

/** @param {"undo" | "redo"} op */
async function undo(op) {
  const answer = await link.inTurn(() => link.ask(op)).catch(complain);
  if (!answer) return;
  notice(`${op === "undo" ? "Undone" : "Done again"}: ${answer.label}`);
  if (answer.frames.length === 1 && answer.frames[0] !== state.frame) go(answer.frames[0], false);
}

/** @param {"forward" | "back" | "between"} direction */
async function track(direction) {
  if (state.playing) commands.play.run();
  const begun = await link.inTurn(() => link.ask("track", { direction, frame: state.frame, first: state.wanted[0], last: state.wanted[1] })).catch(complain);
  following = Boolean(begun);
}

/** @param {number} id @param {object} values */
function changeObject(id, values) {
  if (state.mode === "annotate") { void link.inTurn(() => link.ask("object", { object: id, ...values })).catch(complain).finally(() => state.changed()); return; }
  Object.assign(/** @type {object} */ (state.objects.find((item) => item.id === id)), values);
  state.changed();
}

/** @param {number | null} id */
function choose(id) {
  state.object = id;
  state.changed();
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

// Going through the film

let settled = 0;

/** whether the picture goes along with the tracker, until the person goes somewhere else */
let following = false;

/** @param {number} frame @param {boolean} dragging @param {boolean} [along] with the tracker */
function go(frame, dragging, along = false) {
  following = along;
  state.frame = Math.min(Math.max(Math.round(frame), 0), state.film.frames - 1);
  timeline.follow();
  void view.load(dragging, dragging || along ? 0 : state.playing ? 12 : 2);
  clearTimeout(settled);
  if (!state.playing) settled = window.setTimeout(settle, dragging ? 400 : 200);
  state.changed();
}

function settle() {
  if (state.mode === "annotate" && state.tool !== "hand") void link.ask("prepare", { frame: state.frame }).catch(() => undefined);
  if (state.mode === "compare") link.ask("score", { frame: state.frame }).then((answer) => showScore(state, answer.score)).catch(complain);
  void link.ask("settings", { values: { frame: state.frame } }).catch(() => undefined);
}

let due = 0;

/** @param {number} now */
function play(now) {
  if (!state.playing) return;
  if (now >= due && view.ready) {
    due = Math.max(due + 1000 / state.film.fps, now - 100);
    if (state.frame + 1 >= state.film.frames) { commands.play.run(); return; }
    go(state.frame + 1, false);
  }
  requestAnimationFrame(play);
}

/** @param {1 | -1} direction */
function goGiven(direction) {
  const frames = state.givenFrames();
  const next = direction > 0 ? frames.find((frame) => frame > state.frame) : frames.reverse().find((frame) => frame < state.frame);
  if (next !== undefined) go(next, false);
}

// Commands: each has a name, an icon, perhaps keys, and one way to run it

const edits = () => state.mode === "annotate" && state.online && state.film.exact;
const idle = () => edits() && !state.running;
const hasObject = () => edits() && state.object !== null;
const canTrack = () => idle() && state.objects.some((item) => !item.locked && state.isStarted(item.id));

/** @type {Record<string, Command>} */
const commands = {
  play: { name: "Play or pause", icon: "play", keys: "space", run: () => { state.playing = !state.playing; due = performance.now(); requestAnimationFrame(play); if (!state.playing) settle(); state.changed(); } },
  back: { name: "Frame before", icon: "previous", keys: "ArrowLeft", run: () => go(state.frame - 1, false) },
  forward: { name: "Next frame", icon: "next", keys: "ArrowRight", run: () => go(state.frame + 1, false) },
  back10: { name: "Ten frames back", icon: "previous", keys: "shift+ArrowLeft", run: () => go(state.frame - 10, false) },
  forward10: { name: "Ten frames on", icon: "next", keys: "shift+ArrowRight", run: () => go(state.frame + 10, false) },
  first: { name: "First frame", icon: "first", keys: "Home", run: () => go(0, false) },
  last: { name: "Last frame", icon: "last", keys: "End", run: () => go(state.film.frames - 1, false) },
  previousGiven: { name: "Corrected frame before", icon: "given", keys: ",", run: () => goGiven(-1) },
  nextGiven: { name: "Next corrected frame", icon: "nextGiven", keys: ".", run: () => goGiven(1) },
  nextUnsure: { name: "Frame to look at next", icon: "next", keys: "m", run: () => { const item = state.unsure().find(({ frame }) => frame !== state.frame); if (item) { choose(item.object.id); go(item.frame, false); } } },
  trackForward: { name: "Track forwards", text: "Track", icon: "forward", keys: "t", can: canTrack, run: () => track("forward") },
  trackBack: { name: "Track backwards", text: "Back", icon: "back", keys: "shift+T", can: canTrack, run: () => track("back") },
  trackBetween: { name: "Track between two corrected frames, from both", text: "Between", icon: "between", keys: "g", can: canTrack, run: () => track("between") },
  rangeFrom: { name: "Track and export from this frame on; again: from the first", icon: "from", keys: "<", can: edits, run: () => setRange("from") },
  rangeTo: { name: "Track and export up to this frame; again: to the last", icon: "to", keys: ">", can: edits, run: () => setRange("to") },
  chooseClass: { name: "Class of the chosen object", icon: "panel", keys: "k", can: () => edits() && Boolean(state.chosenObject), run: () => element("class").focus() },
  stop: { name: "Stop", text: "Stop", icon: "stop", keys: "Escape", can: () => Boolean(state.running), run: () => { void ask("stop"); } },
  undo: { name: "Undo", icon: "undo", keys: "z", can: () => idle() && state.history.undo !== null, run: () => undo("undo") },
  redo: { name: "Redo", icon: "redo", keys: "shift+Z", can: () => idle() && state.history.redo !== null, run: () => undo("redo") },
  newObject: { name: "New object", icon: "plus", keys: "n", can: edits, run: () => { choose(null); notice("Click on the new object, or draw a box around it."); } },
  hideObject: { name: "The object is not visible here", text: "Not visible", icon: "closed", keys: "Backspace", can: hasObject, run: () => forget(true) },
  clearObject: { name: "Forget the object's mask on this frame", text: "Forget mask", icon: "clear", keys: "Delete", can: hasObject, run: () => forget(false) },
  extent: { name: "The object, a part of it, or more than it", icon: "panel", keys: "o", can: () => edits() && meant() !== null, run: otherExtent },
  find: { name: "Suggest objects on this frame", text: "Find", icon: "find", keys: "f", can: () => edits() && !state.finding, run: find },
  adopt: { name: "Add the chosen suggestions as objects", text: "Add as objects", icon: "plus", can: edits, run: adopt },
  smaller: { name: "Smaller brush", icon: "minus", keys: "[", can: edits, run: () => remember("brush", Math.max(2, Math.round(Number(state.settings.brush) * 0.8))) },
  larger: { name: "Larger brush", icon: "plus", keys: "]", can: edits, run: () => remember("brush", Math.min(300, Math.ceil(Number(state.settings.brush) * 1.25))) },
  masks: { name: "Hide or show the masks", icon: "eye", keys: "h", run: () => { state.settings.hidden = !state.settings.hidden; state.changed(); } },
  fit: { name: "Fit the picture into the window", icon: "box", keys: "0", run: () => { view.fit(); state.changed(); } },
  zoomIn: { name: "Zoom in", icon: "plus", keys: "+", run: () => view.zoom(1.25) },
  zoomOut: { name: "Zoom out", icon: "minus", keys: "-", run: () => view.zoom(0.8) },
  importDialog: { name: "Import masks", text: "Import", icon: "import", can: idle, run: importDialog },
  exportDialog: { name: "Export", text: "Export", icon: "export", can: idle, run: () => exportDialog(state, (fields) => { void ask("export", fields); }) },
  theme: { name: "Dark or light", icon: "theme", run: () => remember("theme", isDark() ? "light" : "dark") },
  help: { name: "Help and keys", icon: "help", keys: "?", run: () => helpDialog(state, Object.values(commands)) },
  drawer: { name: "Objects and frames", icon: "panel", run: () => { const open = element("side").classList.toggle("open"); document.querySelector(".drawer-button")?.setAttribute("aria-expanded", String(open)); } },
};

/** Begin or end the frames to track here, or take that back. @param {"from" | "to"} end */
function setRange(end) {
  const other = end === "from" ? "to" : "from";
  remember(end, Number(state.settings[end]) === state.frame ? -1 : state.frame);
  const [first, last] = state.wanted;
  if (first > last) remember(other, -1);
}

function isDark() {
  const { theme } = state.settings;
  return theme === "dark" || (theme === "auto" && !matchMedia("(prefers-color-scheme: light)").matches);
}

async function find() {
  const detector = /** @type {HTMLSelectElement} */ (element("detector")).value;
  const frame = state.frame;
  if (state.finding) return;
  state.finding = { detector, since: performance.now() };
  state.changed();
  const timer = setInterval(() => state.changed(), 500);
  const answer = await ask("find", { frame, detector });
  clearInterval(timer);
  const took = (performance.now() - state.finding.since) / 1000;
  state.finding = null;
  state.changed();
  if (!answer) return;
  remember(`seconds.${detector}`, Math.round(10 * took) / 10);
  state.found = answer.found;
  state.foundFrame = frame;
  state.foundLook = answer.look;
  state.chosen = new Set(answer.found.map((/** @type {any} */ _, /** @type {number} */ i) => i));
  element("found").replaceChildren();
  if (!answer.found.length) notice(`${detector} finds nothing on this frame.`);
  state.changed();
}

async function adopt() {
  const answer = await ask("adopt", { look: state.foundLook, chosen: [...state.chosen] });
  if (!answer) return;
  state.found = [];
  state.foundFrame = -1;
  state.changed();
}

// Wiring

/** @param {string[]} names */
function fillDetectors(names) {
  const select = /** @type {HTMLSelectElement} */ (element("detector"));
  select.replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
  if (names.includes(state.settings.detector)) select.value = state.settings.detector;
  select.onchange = () => remember("detector", select.value);
}

function fillModes() {
  const modes = [["slider", "Slider"], ["first", state.names[0]], ["second", state.names[1]], ["difference", "Difference"]];
  element("compare-modes").replaceChildren(...modes.map(([id, name]) => {
    const button = make("button", { textContent: name, role: "radio", "data-mode": id });
    button.onclick = () => { state.compare = id; state.changed(); };
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
    return make("label", {}, [id === "brush" ? "size" : "tint", input]);
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
tieClass(state, changeObject);

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape" && tools.cancel()) return;
  if (element("dialog").hasAttribute("open")) return;
  const typing = target.matches("input:not([type=range]):not([type=checkbox]):not([type=color]), select, textarea");
  if (typing || event.isComposing) { if (event.key === "Escape") target.blur(); return; }
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() !== "z" && event.key.toLowerCase() !== "y") return;
    event.preventDefault();
    commands[event.key.toLowerCase() === "y" || event.shiftKey ? "redo" : "undo"].run();
    return;
  }
  if (event.altKey) return;
  const pressing = target.matches("button, a, label, [type=checkbox], [type=color]") && (event.key === " " || event.key === "Enter");
  if (pressing || (target.matches("[type=range]") && event.key.startsWith("Arrow"))) return;
  const steps = { w: [0, -1], a: [-1, 0], s: [0, 1], d: [1, 0] }[event.key.toLowerCase()];
  if (state.mode === "annotate" && steps) {
    const by = (event.shiftKey ? 24 : 4) * Math.max(1, Math.round(1 / view.scale));
    tools.moveCross(steps[0] * by, steps[1] * by);
    document.body.dataset.focus = "keys";
    view.canvas.focus({ preventScroll: true });
  } else if (state.mode === "annotate" && event.key === "Enter") tools.useCross();
  else if (state.mode === "compare" && target === view.canvas && event.key.startsWith("Page")) {
    state.split = Math.min(1, Math.max(0, state.split + (event.key === "PageUp" ? -0.05 : 0.05)));
    state.changed();
  } else if (event.shiftKey && /^Digit[0-9]$/.test(event.code) && !/^[0-9]$/.test(event.key)) remember("opacity", (Number(event.code.slice(5)) || 10) / 10);
  else if (/^[1-9]$/.test(event.key)) { const item = state.objects[Number(event.key) - 1]; if (item) choose(item.id); }
  else if (state.mode === "annotate" && !event.shiftKey && TOOLS.some((tool) => tool.key === event.key)) useTool(/** @type {any} */ (TOOLS.find((tool) => tool.key === event.key)).id);
  else {
    const pressed = (event.shiftKey && event.key.length > 1) || /^[A-Z]$/.test(event.key) ? `shift+${event.key}` : event.key === " " ? "space" : event.key;
    const command = Object.values(commands).find((item) => item.keys === pressed);
    if (!command) return;
    if (!command.can || command.can()) command.run();
  }
  event.preventDefault();
}

document.addEventListener("keydown", onKey);
// The frame around the picture is for those who go through the page by keys, not for a click and a shortcut.
document.addEventListener("keydown", (event) => { if (event.key === "Tab") document.body.dataset.focus = "keys"; }, true);
document.addEventListener("pointerdown", () => { delete document.body.dataset.focus; }, true);
const frameInput = /** @type {HTMLInputElement} */ (element("frame"));
frameInput.onchange = () => go(Number(frameInput.value) || 0, false);
const thresholdInput = /** @type {HTMLInputElement} */ (element("threshold"));
thresholdInput.onchange = () => remember("threshold", Math.min(1, Math.max(0, Number(thresholdInput.value) || 0)));

/** @param {number} seconds */
function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return `${parts[0] ? `${parts[0]}:` : ""}${String(parts[1]).padStart(2, "0")}:${String(parts[2]).padStart(2, "0")}.${String(Math.floor((seconds - whole) * 100)).padStart(2, "0")}`;
}

let nextShown = 0;

state.subscribe(() => {
  if (state.mode === "loading") return;
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-command]"))) {
    const command = commands[/** @type {string} */ (button.dataset.command)];
    button.disabled = Boolean(command.can && !command.can());
  }
  const running = state.running;
  /** @type {HTMLElement} */ (document.querySelector('[data-command="stop"]')).hidden = !running;
  for (const name of ["trackForward", "trackBack", "trackBetween"]) /** @type {HTMLElement} */ (document.querySelector(`[data-command="${name}"]`)).hidden = Boolean(running);
  element("progress").hidden = !running && !state.finding;
  const bar = /** @type {HTMLProgressElement} */ (element("progress-bar"));
  if (state.finding && !running) {
    const { detector, since } = state.finding;
    const [passed, last] = [(performance.now() - since) / 1000, Number(state.settings[`seconds.${detector}`])];
    element("progress-what").textContent = `Looking for objects with ${detector}`;
    element("progress-rate").textContent = `${Math.round(passed)} s` + (last ? ` of about ${Math.ceil(last)} s` : "; the first look also loads it");
    bar.max = Math.max(last || 1, passed);
    if (last) bar.value = passed;
    else bar.removeAttribute("value");
  }
  if (running) {
    const names = /** @type {Record<string, string>} */ ({ forward: "Tracking forwards", back: "Tracking backwards", between: "Tracking from both sides", export: "Exporting" });
    element("progress-what").textContent = `${names[running.what] ?? running.what}: ${running.done} of ${running.total} frames`;
    element("progress-rate").textContent = running.rate ? `${running.rate.toFixed(1)} frames/s, ${Math.ceil((running.total - running.done) / running.rate)} s left` : "starting …";
    bar.max = Math.max(1, running.total);
    bar.value = running.done;
  }
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (element("tools").querySelectorAll("[data-tool]"))) {
    button.setAttribute("aria-checked", String(button.dataset.tool === state.tool));
    /** @type {HTMLButtonElement} */ (button).disabled = !edits() && button.dataset.tool !== "hand";
  }
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-mode][role=radio]"))) {
    button.setAttribute("aria-checked", String(button.dataset.mode === state.compare));
  }
  const playButton = /** @type {HTMLElement} */ (document.querySelector('[data-command="play"]'));
  playButton.replaceChildren(icon(state.playing ? "pause" : "play"));
  if (document.activeElement !== frameInput) frameInput.value = String(state.frame);
  frameInput.max = String(state.film.frames - 1);
  element("frame-count").textContent = `of ${state.film.frames} frames`;
  element("clock").textContent = `${clock(state.frame / state.film.fps)} / ${clock(state.film.frames / state.film.fps)}`;
  const tool = TOOLS.find((item) => item.id === state.tool);
  const who = state.chosenObject ? "" : state.mode === "annotate" ? "New object: " : "";
  element("hint").textContent = state.mode === "annotate" ? who + (tool?.hint ?? "") : "";
  const remove = (/** @type {number} */ id) => void link.inTurn(() => link.ask("remove", { object: id })).catch(complain);
  showObjects(state, { change: changeObject, remove, choose });
  showClass(state);
  const [first, last] = state.wanted;
  element("range").textContent = last - first + 1 < state.film.frames ? `frames ${first} to ${last}` : "";
  showHere(state);
  showFound(state);
  if (performance.now() - nextShown > (running ? 1000 : 0)) {
    nextShown = performance.now();
    showNext(state, (frame, object) => { choose(object); go(frame, false); });
  }
});
