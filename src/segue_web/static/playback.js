// Going through the video: to a frame, and playing it.

import { notice } from "./dom.js";
import { ask, tell } from "./link.js";
import { state } from "./state.js";
import { frameImages } from "./frames.js";

/** the timer of a frame that is looked at for a while, and when the next one is due */
let [timer, due] = [0, 0];

export function go(/** @type {number} */ frame, dragging = false) {
  state.frame = Math.min(Math.max(Math.round(frame), 0), state.video.frames - 1);
  const ahead = state.playing ? 12 : 2;
  frameImages.load(dragging, dragging ? 0 : ahead);
  clearTimeout(timer);
  if (!state.playing) timer = setTimeout(settle, dragging ? 400 : 200);
  state.changed();
}

/** A frame is looked at for a while: what that needs does not keep its image waiting. */
function settle() {
  const { frame } = state;
  if (frameImages.loading.has(frame)) {
    timer = setTimeout(settle, 100);
    return;
  }
  if (state.mode === "annotate" && state.tool !== "hand") tell("prepare", { frame });
  if (state.mode === "compare")
    void ask("score", { frame }).then((answer) => {
      if (answer && state.frame === frame) {
        state.score = answer.score;
        state.changed();
      }
    });
  tell("settings", { values: { frame } });
}

/** Stay on this frame while a person edits it. */
export const hold = () => {
  if (state.playing) togglePlay();
};

export function togglePlay() {
  state.playing = !state.playing;
  due = performance.now();
  requestAnimationFrame(play);
  if (!state.playing) go(state.frame);
  state.changed();
}

/** a frame that is shown for less is left out, in milliseconds */
const SHORTEST = 15;

/** Milliseconds between frames at the selected speed. */
const between = (/** @type {number} */ one, /** @type {number} */ other) =>
  (1000 * (state.time(other) - state.time(one))) / Number(state.settings.speed);

/** The frame that is played after another one; null at the end. */
function following(/** @type {number} */ frame) {
  const [first, last] = state.wanted;
  if (state.settings.loop && (frame >= last || frame < first)) return first;
  const end = state.settings.loop ? last : state.video.frames - 1;
  if (frame >= end) return null;
  let next = frame + 1;
  while (next < end && between(frame, next) < SHORTEST) next++;
  return next;
}

function play(/** @type {number} */ now) {
  if (!state.playing) return;
  if (now >= due && frameImages.ready) {
    const next = following(state.frame);
    if (next === null) {
      togglePlay();
      return;
    }
    const after = Math.max(following(next) ?? next, next + 1); // the last one before a loop is shown as long as others
    due = Math.max(due + between(next, after), now - 100);
    go(next);
  }
  requestAnimationFrame(play);
}

/** predicate of the frames of each kind @type {Record<string, string>} */
const SOUGHT = {
  given: "is corrected",
  missing: "lacks a mask",
  unreviewed: "needs a review",
  review: "is doubtful",
  changed: "was changed by tracking",
};

/** Go to the next frame of the selected kind. */
export function goSought(/** @type {number} */ direction) {
  const frames = state.sought;
  const next =
    direction > 0 ? frames.find((frame) => frame > state.frame) : frames.reverse().find((frame) => frame < state.frame);
  if (next !== undefined) go(next);
  else notice(`No ${direction > 0 ? "later" : "earlier"} frame ${SOUGHT[state.settings.seek]}.`);
}

/** To the least sure frame but this one. */
export function goUnsure() {
  const item = state.unsure().find(({ frame }) => frame !== state.frame);
  if (item) {
    state.choose(item.object.id);
    go(item.frame);
  }
}
