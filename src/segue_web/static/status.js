// What the page shows of its state: which commands can be used, progress, settings, transport, and the panels.

import { durationText } from "./calendar.js";
import { showAbout } from "./about.js";
import { commands } from "./commands.js";
import { showRemarks } from "./comments.js";
import { written } from "./help.js";
import { all, buttons, clock, commandButton as button, element, within } from "./dom.js";
import { showEdge } from "./edge.js";
import { icon } from "./icons.js";
import { showShape } from "./keys_of_shape.js";
import { keysOf } from "./own_keys.js";
import { showPanels } from "./panels.js";
import { state, VIEWS } from "./state.js";
import { TOOLS } from "./tools.js";

/** @type {Record<string, string>} */
const RUNS = {
  forward: "Tracking forwards",
  back: "Tracking backwards",
  between: "Tracking to the next correction",
  export: "Exporting",
};

/** the hint of clicks while they do not mend */
const WHOLE =
  "Clicks segment the whole object again and replace its mask. Press Shift C to correct only the region under a click.";

state.listen(() => {
  if (state.mode === "loading") return;
  showCommands();
  showProgress();
  showSettings();
  showTransport();
  showAbout();
  showEdge();
  showShape();
  showPanels();
  showRemarks();
});

// What is drawn on a canvas takes its colours when it is drawn.
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => state.changed());

function showCommands() {
  for (const item of buttons("[data-command]")) {
    const name = item.dataset.command ?? "";
    const { can } = commands[name];
    item.disabled = Boolean(can && !can());
    if (!["undo", "redo", "stop"].includes(name)) showTitle(item, name);
  }
  for (const name of /** @type {("undo" | "redo")[]} */ (["undo", "redo"])) {
    const label = state.history[name];
    const who = state.history.users?.[name] ?? "";
    const by = who && who !== state.user ? `, by ${who}` : "";
    const title = `${commands[name].name}${label ? `: ${label}${by}` : ""} (${written(keysOf(name, commands[name].keys))})`;
    if (button(name).title !== title) button(name).title = title;
  }
  button("stop").hidden = !state.running && !state.exporting;
  for (const item of buttons("[data-tool]")) {
    item.setAttribute("aria-checked", String(item.dataset.tool === state.tool));
    item.disabled = !state.editable && item.dataset.tool !== "hand";
    showToolKey(item);
  }
  for (const item of all("[data-mode][role=radio]")) {
    item.setAttribute("aria-checked", String(item.dataset.mode === state.compare));
  }
  const tool = TOOLS.find((item) => item.id === state.tool);
  const clicks = state.tool === "click" || state.tool === "minus";
  button("whole").setAttribute("aria-pressed", String(state.whole));
  const who = state.chosenObject ? "" : "New object: ";
  element("hint").textContent = element("hint").title =
    state.mode === "annotate" ? candidateHint() || who + (clicks && state.whole ? WHOLE : (tool?.hint ?? "")) : "";
}

/**
 * The displayed alternative of a click and the estimated IoU of each; empty if the mask has changed since.
 */
function candidateHint() {
  const { candidate, current, frame, object } = state;
  if (
    !candidate ||
    candidate.frame !== frame ||
    candidate.object !== object ||
    current?.masks[object] !== candidate.mask
  )
    return "";
  const { place, scores } = candidate;
  const others = scores.map((score, i) => (i === place ? `[${score.toFixed(2)}]` : score.toFixed(2))).join(", ");
  return `Mask ${place + 1} of ${scores.length} for the clicks; estimated IoU of each: ${others}. Shift M shows the next one; Z undoes.`;
}

function showToolKey(/** @type {HTMLButtonElement} */ item) {
  const tool = TOOLS.find(({ id }) => id === item.dataset.tool);
  const shown = within(item, "kbd");
  if (!tool || !shown) return;
  const keys = keysOf(tool.id, tool.key);
  if (item.getAttribute("aria-keyshortcuts") === keys) return;
  item.setAttribute("aria-keyshortcuts", keys);
  item.title = `${tool.name} (${written(keys)})\n${tool.hint}`;
  shown.textContent = written(keys).replace("Shift ", "⇧");
}

/** Say what a button does, and its key. */
function showTitle(/** @type {HTMLButtonElement} */ item, /** @type {string} */ name) {
  const keys = keysOf(name, commands[name].keys);
  const title = commands[name].name + (keys ? ` (${written(keys)})` : "");
  if (item.title !== title) item.title = title;
  const shown = within(item, "kbd");
  if (shown) shown.textContent = written(keys);
}

function showProgress() {
  const { finding, loading, queue } = state;
  const running = state.running ?? state.exporting;
  element("progress").hidden = !running && !finding && !loading;
  const bar = element("progress-bar");
  if (!running) {
    element("progress-what").textContent = loading
      ? "Loading the network …"
      : `Finding objects with ${finding}; the first time also loads it`;
    element("progress-rate").textContent = "";
    bar.removeAttribute("value");
  }
  if (running) {
    const { passes = 1 } = running;
    const beside = [
      passes > 1 ? `${passes} passes because objects overlap` : "",
      state.running && state.exporting ? `exporting ${state.exporting.done} of ${state.exporting.total}` : "",
      queue.length ? `${queue.length} more queued` : "",
    ].filter(Boolean);
    element("progress-what").textContent = [
      `${RUNS[running.what] ?? running.what}: ${running.done} of ${running.total} frames`,
      ...beside,
    ].join("; ");
    element("progress-rate").textContent = running.rate
      ? `${running.rate.toFixed(1)} frames/s, ${durationText((running.total - running.done) / running.rate)} left`
      : beginning(running);
    element("progress-rate").title =
      passes > 1 ? `Overlapping objects are tracked separately: each frame is processed ${passes} times.` : "";
    bar.max = Math.max(1, running.total);
    bar.value = running.done;
  }
}

function showSettings() {
  document.documentElement.dataset.theme = state.settings.theme;
  for (const name of ["labels", "solo", "loop"])
    button(name).setAttribute("aria-pressed", String(Boolean(state.settings[name])));
  for (const [view, name] of VIEWS) {
    const isUsed = state.settings.view === view;
    button(`${view}View`).setAttribute("aria-pressed", String(isUsed));
    const shown = within(button("display"), ".text");
    if (isUsed && shown) shown.textContent = state.mode === "annotate" ? name : "View";
  }
  for (const id of /** @type {const} */ (["brush", "opacity", "threshold", "speed", "stride", "seek"])) {
    if (document.activeElement !== element(id)) element(id).value = String(state.settings[id]);
  }
  const waiting = state.loading ? "Waiting for the network …" : "Saving …";
  const text = state.pending ? waiting : state.saved;
  if (element("saved").textContent !== text) element("saved").textContent = text;
}

/** What is done before the first frame. */
/** @param {import("./state.js").Running} running */
function beginning({ what, done, shown = null }) {
  if (done) return "";
  if (what === "export") return "starting …";
  if (shown) return `the tracker reads your corrections: ${shown[0] + 1} of ${shown[1]} …`;
  return "loading the network …";
}

function showTransport() {
  const input = element("frame");
  button("play").replaceChildren(icon(state.playing ? "pause" : "play"));
  if (document.activeElement !== input) input.value = String(state.frame);
  input.max = String(state.video.frames - 1);
  element("frame-count").textContent = `of ${state.video.frames} frames`;
  element("clock").textContent = `${clock(state.time(state.frame))} / ${clock(state.time(state.video.frames))}`;
  const [first, last] = state.wanted;
  element("range").textContent = last - first + 1 < state.video.frames ? `frames ${first} to ${last}` : "";
}
