// What the page shows of its state: which commands can be used, progress, transport, and the panels.

import { showAbout } from "./about.js";
import { clock } from "./clock.js";
import { icon } from "./icons.js";
import { element, fill, make, showFound, showHere, showNext, showObjects } from "./panels.js";
import { stepName } from "./edits.js";
import { written } from "./dialogs.js";
import { TOOLS } from "./tools.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./commands.js").Command} Command
 */

const EXTENT_NAMES = /** @type {Record<string, string>} */ ({ part: "Part", whole: "Object", group: "More" });

const RUNS = /** @type {Record<string, string>} */ ({ forward: "Tracking forwards", back: "Tracking backwards", between: "Tracking from both sides", export: "Exporting" });

/** @param {import("./commands.js").Page} page @param {Record<string, Command>} commands */
export function tieStatus({ state, edits, playback }, commands) {
  let nextShown = 0;
  const actions = {
    change: (/** @type {number} */ id, /** @type {object} */ values) => edits.change(id, values),
    remove: (/** @type {number} */ id) => edits.remove(id),
    choose: (/** @type {number | null} */ id) => state.choose(id),
    changeAll: (/** @type {number[]} */ ids, /** @type {object} */ values) => edits.changeAll(ids, values),
    chooseGroup: (/** @type {string} */ name) => state.chooseGroup(name),
  };
  state.subscribe(() => {
    if (state.mode === "loading") return;
    showCommands(state, commands);
    showProgress(state);
    showSaved(state);
    showTransport(state);
    showObjects(state, actions);
    showAbout(state);
    showHere(state);
    showExtents(edits);
    showFound(state);
    if (performance.now() - nextShown > (state.running ? 1000 : 0)) {
      nextShown = performance.now();
      showNext(state, (frame, object) => { state.choose(object); playback.go(frame, false); });
    }
  });
}

/** What clicks may mean, as choices. @param {import("./edits.js").Edits} edits */
function showExtents(edits) {
  const meant = edits.meant();
  const row = element("extents");
  row.hidden = !meant;
  fill(row, meant, () => (meant?.extents ?? []).map((extent) => make("button", {
    role: "radio", "aria-checked": extent === meant?.extent, textContent: EXTENT_NAMES[extent],
    title: "What the clicks mean (O: the next)", onclick: () => edits.click([], null, () => extent),
  })));
}

/** @param {string} name @returns {HTMLButtonElement} */
const button = (name) => /** @type {HTMLButtonElement} */ (document.querySelector(`[data-command="${name}"]`));

/** @param {State} state @param {Record<string, Command>} commands */
function showCommands(state, commands) {
  for (const item of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-command]"))) {
    const { can } = commands[/** @type {string} */ (item.dataset.command)];
    item.disabled = Boolean(can && !can());
  }
  for (const name of /** @type {("undo" | "redo")[]} */ (["undo", "redo"])) {
    const label = state.history[name];
    const title = `${commands[name].name}${label ? `: ${stepName(label)}` : ""} (${written(commands[name].keys ?? "")})`;
    if (button(name).title !== title) button(name).title = title;
  }
  button("stop").hidden = !state.running;
  button("beside").setAttribute("aria-pressed", String(state.beside));
  for (const name of ["trackForward", "trackBack", "trackBetween"]) button(name).hidden = Boolean(state.running);
  for (const item of /** @type {NodeListOf<HTMLButtonElement>} */ (element("tools").querySelectorAll("[data-tool]"))) {
    item.setAttribute("aria-checked", String(item.dataset.tool === state.tool));
    item.disabled = !state.editable && item.dataset.tool !== "hand";
  }
  for (const item of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-mode][role=radio]"))) {
    item.setAttribute("aria-checked", String(item.dataset.mode === state.compare));
  }
  const tool = TOOLS.find((item) => item.id === state.tool);
  const who = state.chosenObject ? "" : "New object: ";
  element("hint").textContent = state.mode === "annotate" ? who + (tool?.hint ?? "") : "";
}

/** @param {State} state */
function showProgress(state) {
  const { running, finding } = state;
  element("progress").hidden = !running && !finding;
  const bar = /** @type {HTMLProgressElement} */ (element("progress-bar"));
  if (finding && !running) {
    const { detector, since } = finding;
    const [passed, last] = [(performance.now() - since) / 1000, Number(state.settings[`seconds.${detector}`])];
    element("progress-what").textContent = `Looking for objects with ${detector}`;
    element("progress-rate").textContent = `${Math.round(passed)} s` + (last ? ` of about ${Math.ceil(last)} s` : "; the first look also loads it");
    bar.max = Math.max(last || 1, passed);
    if (last) bar.value = passed;
    else bar.removeAttribute("value");
  }
  if (running) {
    element("progress-what").textContent = `${RUNS[running.what] ?? running.what}: ${running.done} of ${running.total} frames`;
    element("progress-rate").textContent = running.rate ? `${running.rate.toFixed(1)} frames/s, ${duration((running.total - running.done) / running.rate)} left` : running.what === "export" ? "starting …" : "loading the network …";
    bar.max = Math.max(1, running.total);
    bar.value = running.done;
  }
}

/** @param {State} state */
function showSaved(state) {
  const text = state.pending ? "Saving …" : state.saved;
  if (element("saved").textContent !== text) element("saved").textContent = text;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  return seconds < 6000 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {State} state */
function showTransport(state) {
  const input = /** @type {HTMLInputElement} */ (element("frame"));
  button("play").replaceChildren(icon(state.playing ? "pause" : "play"));
  if (document.activeElement !== input) input.value = String(state.frame);
  input.max = String(state.video.frames - 1);
  element("frame-count").textContent = `of ${state.video.frames} frames`;
  element("clock").textContent = `${clock(state.frame / state.video.fps)} / ${clock(state.video.frames / state.video.fps)}`;
  const [first, last] = state.wanted;
  element("range").textContent = last - first + 1 < state.video.frames ? `frames ${first} to ${last}` : "";
}

