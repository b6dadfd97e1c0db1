// Going through the video: to a frame, and playing it.

import { ask, tell } from "./link.js";
import { showScore } from "./panels.js";
import { state } from "./state.js";
import { view } from "./view.js";

/** the timer of a frame that is looked at for a while, and when the next one is due */
let [timer, due] = [0, 0];

export function go(frame, dragging = false) {
  state.frame = Math.min(Math.max(Math.round(frame), 0), state.video.frames - 1);
  void view.load(dragging, dragging ? 0 : state.playing ? 12 : 2);
  clearTimeout(timer);
  if (!state.playing) timer = setTimeout(settle, dragging ? 400 : 200);
  state.changed();
}

/** A frame is looked at for a while. */
function settle() {
  const { frame } = state;
  if (state.mode === "annotate" && state.tool !== "hand") tell("prepare", { frame });
  if (state.mode === "compare") void ask("score", { frame }).then((answer) => { if (answer && state.frame === frame) showScore(answer.score); });
  tell("settings", { values: { frame } });
}

/** Stay on this frame, for somebody works on it. */
export const hold = () => { if (state.playing) togglePlay(); };

export function togglePlay() {
  state.playing = !state.playing;
  due = performance.now();
  requestAnimationFrame(play);
  if (!state.playing) settle();
  state.changed();
}

function play(now) {
  if (!state.playing) return;
  if (now >= due && view.ready) {
    due = Math.max(due + 1000 * (state.time(state.frame + 2) - state.time(state.frame + 1)), now - 100);
    if (state.frame + 1 >= state.video.frames) { togglePlay(); return; }
    go(state.frame + 1);
  }
  requestAnimationFrame(play);
}

/** To the next frame that a person corrected. */
export function goGiven(direction) {
  const frames = state.framesOf("given");
  const next = direction > 0 ? frames.find((frame) => frame > state.frame) : frames.reverse().find((frame) => frame < state.frame);
  if (next !== undefined) go(next);
}

/** To the least sure frame but this one. */
export function goUnsure() {
  const item = state.unsure().find(({ frame }) => frame !== state.frame);
  if (item) { state.choose(item.object.id); go(item.frame); }
}
