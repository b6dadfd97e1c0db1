// Edits are sent to the server, one after the other.

import { make, notice, question } from "./dom.js";
import { complain, loadFrames, request, tell, showVideo } from "./link.js";
import { isOwn } from "./people.js";
import { go, hold } from "./playback.js";
import { IMAGE, state } from "./state.js";

/**
 * @typedef {import("./state.js").FrameData} FrameData
 * @typedef {[number, number, boolean]} Click
 * @typedef {{frame: number, object: number | null, seen: number}} About
 */

/** what was asked for last @type {Promise<any>} */
let queue = Promise.resolve();
/** messages of refused changes; they disappear after the next change @type {any[]} */
let refusals = [];
/** whether it has made a step */
let lastMade = Promise.resolve(true);

/** A change goes after those before it, so that it is made on what they left. @returns {Promise<any>} */
function change(/** @type {() => Promise<any>} */ ask) {
  state.pending++;
  state.changed();
  const turn = queue.then(ask, ask).finally(() => {
    state.pending--;
    state.changed();
  });
  queue = turn;
  lastMade = turn.then(
    (answer) => answer !== null,
    () => false,
  );
  return turn.then(
    (answer) => {
      for (const box of refusals) box.remove();
      refusals = [];
      return answer;
    },
    (error) => {
      state.saved = ""; // it would contradict the message
      refusals.push(complain(error));
    },
  );
}

/** An edit of the current selection and frame, even if both have changed when it is its turn. */
function edit(/** @type {(about: About, known: FrameData | undefined) => Promise<any>} */ ask) {
  const { frame, target } = state;
  return change(async () => {
    if (!state.isFresh(frame)) await loadFrames([frame]);
    const known = state.frameData.get(frame);
    const answer = await ask({ frame, object: target.id, seen: Math.max(0, known?.revision ?? 0) }, known);
    if (answer?.object) state.made(target, answer.object);
    return answer;
  });
}

/** Remove a message when its request is done. */
export function until(/** @type {Element} */ box, /** @type {() => boolean} */ isDone) {
  const look = () => {
    if (box.isConnected && !isDone()) return;
    box.remove();
    state.ignore(look);
  };
  state.listen(look, IMAGE);
}

/** Report a change, with a button that undoes it until the next change. */
function undoable(/** @type {string} */ text) {
  const { revision } = state;
  const button = make("button", { textContent: "Undo", onclick: () => void undo("undo") });
  until(notice(text, "", [button]), () => state.revision !== revision);
}

const pixels = (/** @type {number} */ count) => (count === 1 ? "1 pixel" : `${count.toLocaleString("en")} pixels`);

/** Clicks, or a box, which keeps the clicks inside it; says so where a mask is replaced that they have not made. */
export async function click(/** @type {Click[]} */ points, /** @type {number[] | null} */ box) {
  const { whole, showsAlone: alone } = state;
  const answer = await edit((about, known) => {
    const before = about.object === null ? null : (known?.prompts[about.object] ?? null);
    const inside = (/** @type {Click} */ [x, y]) => !box || (x >= box[0] && y >= box[1] && x <= box[2] && y <= box[3]);
    const all = [...(before?.points ?? []).filter(inside), ...points];
    return request("click", { ...about, points: all, box: box ?? before?.box ?? null, whole, alone });
  });
  const replaced = answer?.replaced;
  if (replaced)
    undoable(
      `${box ? "The box" : "The click"} replaced the mask: ${pixels(replaced.before)} before, ${pixels(replaced.after)} now.`,
    );
}

/** Give the selected object the next alternative mask of its click. */
export async function nextCandidate() {
  const { frame } = state;
  const answer = await edit((about) => request("candidate", about));
  if (!answer) return;
  const { object, place, scores } = answer;
  if (scores.length < 2) {
    notice("These clicks have no alternative mask. Click on missing parts; right-click on areas outside the object.");
    return;
  }
  state.candidate = { frame, object, mask: state.frameData.get(frame)?.masks[object] ?? "", place, scores };
  state.changed();
}

/** The pointer rests: outline the alternative masks of the selected object's click. */
export async function outlineCandidates() {
  const { frame, object, current } = state;
  if (object === null) return;
  const mask = current?.masks[object];
  if (!state.editable || !mask || !state.hasReadings || state.loading || state.running || state.others?.mask === mask)
    return;
  /** @type {{frame: number, object: number, mask: string, masks: string[]}} */
  const others = { frame, object, mask, masks: [] };
  state.others = others;
  const answer = await request("candidates", { frame, object, seen: current?.revision ?? 0 }).catch(() => null);
  if (answer) others.masks = answer.masks.filter((/** @type {string} */ one) => one && one !== mask);
  state.changed();
}

/** The pointer rests: compute the mask of a first click there. */
export function rest(/** @type {number[]} */ at) {
  if (!state.editable || state.running || (state.object !== null && state.marksOf(state.object).has(state.frame)))
    return;
  tell("prepare", { frame: state.frame, at });
}

/** A stroke on the object, of which its mask is made. */
export function scribble(/** @type {number[][]} */ path) {
  const { showsAlone: alone } = state;
  void edit((about) => request("scribble", { ...about, path, alone }));
}

/** What a brush covers along a path, or without a width the area inside. */
export const stroke = (
  /** @type {number[][]} */ path,
  /** @type {number | null} */ width,
  /** @type {boolean} */ add,
) => void edit((about) => request("stroke", { ...about, path, width, add }));

export function forget(/** @type {boolean} */ hidden) {
  if (state.object !== null) void edit((about) => request("forget", { ...about, hidden }));
}

/** Fill the holes of the selected object's mask on this frame, or remove its specks. */
export function clean(/** @type {"holes" | "specks"} */ what) {
  if (state.object !== null) void edit((about) => request("clean", { ...about, what }));
}

/** Move a corner of an outline of the selected object. */
export const reshape = (
  /** @type {number[][]} */ before,
  /** @type {number[][]} */ after,
  /** @type {boolean} */ hole,
) => void edit((about) => request("reshape", { ...about, before, after, hole }));

/** the frame and the object whose mask was copied @type {{of_frame: number, of_object: number} | null} */
let copied = null;
/** how often it was asked for since */
let pastes = 0;

export function copyMask() {
  const item = state.chosenObject;
  if (!item) return;
  const { frame } = state;
  copied = { of_frame: frame, of_object: item.id };
  pastes = 0;
  state.changed();
  const box = notice(
    `Copied the mask of ${item.name} on frame ${state.frame}. Paste it (Ctrl V) on another frame or for another object.`,
  );
  until(box, () => pastes > 0);
}

export function pasteMask() {
  pastes++;
  state.changed();
  if (copied) void edit((about) => request("paste", { ...about, ...copied }));
  else until(notice("Copy a mask first (Ctrl C)."), () => copied !== null);
}

/** Copy the selected object's mask from another frame to this frame. */
export const pasteOf = (/** @type {number} */ frame, /** @type {number} */ object) =>
  void edit((about) => request("paste", { ...about, of_frame: frame, of_object: object }));

/** Copy the mask of the selected object to frames without a correction or review. */
export async function spread(/** @type {number} */ first, /** @type {number} */ last) {
  const answer = await edit((about) => request("spread", { ...about, first, last, seen: seenRevision() }));
  if (answer) notice(`Copied to ${answer.frames} frames.`);
}

export async function merge(/** @type {number} */ object, /** @type {number} */ into) {
  if (await change(() => request("merge", { object, into, seen: state.revision }))) state.choose(into);
}

/** Split the selected object: a new object starts on this frame. */
export async function split() {
  const { object, frame } = state;
  const answer = await change(() => request("split", { object, frame, seen: state.revision }));
  if (answer)
    notice(
      `${state.objects.find(({ id }) => id === answer.object)?.name ?? "The new object"} starts on frame ${frame}.`,
    );
}

/** Of which object, and on which frame, a step was; nothing where it was of many. */
function placeOf(/** @type {{frames: number[], objects?: string[]}} */ { frames, objects = [] }) {
  const parts = [...(objects.length === 1 ? [objects[0]] : []), ...(frames.length === 1 ? [`frame ${frames[0]}`] : [])];
  return parts.length ? ` (${parts.join(", ")})` : "";
}

/** Give the selected object a shape with a key on this frame. */
export const drawShape = (/** @type {number[][]} */ points, /** @type {boolean} */ hole) =>
  edit((about) => request("draw_shape", { ...about, points, hole }));

/**
 * Give a shape a key on a frame, the one that is shown if no other is meant, or change the one that is there.
 * @param {number} shape @param {{corners?: number[][], on?: boolean, motion?: string}} values
 * @param {number | null} seen as of changeObjects
 */
export const setShapeKey = (shape, values, seen = null, frame = state.frame) =>
  void change(() => request("shape_key", { shape, frame, ...values, seen: seen ?? state.revision }));

export function removeKey(/** @type {number} */ shape) {
  const { frame } = state;
  void change(() => request("remove_key", { shape, frame, seen: state.revision }));
}

/** Add a corner after one, remove it, or make it round or pointed, in all keys. */
export const changeCorner = (
  /** @type {number} */ shape,
  /** @type {number} */ corner,
  /** @type {"add" | "remove" | "bend"} */ how,
) => void change(() => request("shape_corner", { shape, corner, change: how, seen: state.revision }));

/** Remove a shape and its masks, except painted pixels. */
export async function removeShape(/** @type {number} */ shape) {
  if (await change(() => request("remove_shape", { shape, seen: state.revision }))) undoable("Removed the shape.");
}

/** Convert the selected object's masks in the range to a shape with few corners and keys. */
export async function shapeOfMasks() {
  const { object } = state;
  const [first, last] = state.wanted;
  const answer = await change(() => request("shape_of_masks", { object, first, last, seen: seenRevision() }));
  if (answer)
    undoable(
      `Made a shape with ${answer.keys === 1 ? "1 key" : `${answer.keys} keys`} and ${answer.corners} corners. IoU with the masks: mean ${answer.mean.toFixed(2)}, minimum ${answer.least.toFixed(2)}.`,
    );
}

/** Have a shape go from a key on with the surface that it covers. */
export async function trackPlane(/** @type {number} */ shape, /** @type {number} */ frame, /** @type {number} */ last) {
  const answer = await start("track_plane", { shape, frame, last, seen: state.revision });
  if (answer)
    undoable(
      answer.lost
        ? `The surface was tracked up to frame ${answer.last} and lost there.`
        : `The surface was tracked up to frame ${answer.last}.`,
    );
}

/** Comment on an object, on a frame or a place of it, or on both. */
export const comment = (
  /** @type {string} */ text,
  /** @type {number | null} */ object,
  /** @type {number | null} */ frame,
  /** @type {number[] | null} */ place = null,
) => change(() => request("comment", { text, object, frame, place }));

/** Resolve a comment, or open it again. */
export const resolve = (/** @type {number} */ id, /** @type {boolean} */ resolved) =>
  change(() => request("resolve", { comment: id, resolved, seen: state.revision }));

/** Assign a video to a person in place of the one who is shown; an empty name takes that back. */
export const assign = (
  /** @type {number} */ number,
  /** @type {string} */ person,
  /** @type {string} */ seen,
  /** @type {"person" | "reviewer"} */ role = "person",
) => change(() => request("assign", { number, person, seen, role }));

/** Say how far a video is, in place of the state that is shown. */
export const setState = (/** @type {number} */ number, /** @type {string} */ name, /** @type {string} */ seen) =>
  change(() => request("set_state", { number, state: name, seen }));

/** Ask before undoing or redoing another person's change. */
async function mayUndo(/** @type {"undo" | "redo"} */ op) {
  const label = state.history[op];
  const who = state.history.users?.[op] ?? "";
  if (label === null || isOwn(who, state.user, state.guest)) return true;
  const verb = op === "undo" ? "Undo" : "Redo";
  const answer = await question(`${who || "Another person"} made this change: ${label}. ${verb} it?`, {
    keep: "Keep it",
    take: verb,
  });
  return answer === "take";
}

/** Undo the last change; a change that is refused in the meantime leaves nothing to undo. */
export async function undo(/** @type {"undo" | "redo"} */ op) {
  const before = state.pending && op === "undo" ? lastMade : true;
  const answer = await change(async () => {
    if (!(await before)) return {};
    const entry = state.history.entries?.[op] ?? null; // of this step alone: another one may come while it is asked
    return (await mayUndo(op)) ? request("undo", { redo: op === "redo", entry }) : {};
  });
  if (!answer?.label) return;
  const by = answer.user && answer.user !== state.user ? `, by ${answer.user}` : "";
  notice(`${op === "undo" ? "Undone" : "Redone"}: ${answer.label}${placeOf(answer)}${by}.`);
  if (answer.frames.length === 1 && answer.frames[0] !== state.frame) go(answer.frames[0]);
}

/**
 * Change objects in one step. Changes of another person since a revision are not replaced.
 * @param {number[]} ids @param {Record<string, unknown>} values
 * @param {number | null} seen the revision, null for that of the page when the change has its turn
 */
export function changeObjects(ids, values, seen = null) {
  const [object, ...also] = ids;
  if (state.mode === "annotate") {
    void change(() => request("object", { object, also, ...values, seen: seen ?? state.revision }));
    return;
  }
  for (const item of state.objects) if (ids.includes(item.id)) Object.assign(item, values);
  state.changed();
}

/**
 * Have attributes of an object hold from a frame on; null takes back what was said there.
 * @param {number} object @param {number} frame @param {Record<string, string | null>} attributes
 * @param {number | null} seen as of changeObjects
 */
export const changeFrameAttributes = (object, frame, attributes, seen = null) =>
  void change(() => request("frame_attributes", { object, frame, attributes, seen: seen ?? state.revision }));

/** The revision that a person sees who begins to type; null while a change of this page has not come back. */
export const seenNow = () => (state.pending ? null : state.revision);

/** Replace classes and attributes, as they were at a revision. */
export const setSchema = (/** @type {import("./state.js").LabelSchema} */ schema, /** @type {number} */ seen) =>
  change(() => request("schema", { schema, seen }));

/** The revision of this frame and all others as shown; a frame whose masks have not come shows the timeline's. */
const seenRevision = () =>
  state.current && !state.isFresh(state.frame) ? Math.max(0, state.current.revision) : state.revision;

/** Accept the changes on some frames, or reject them and restore the previous masks. */
export async function judge(/** @type {number} */ first, /** @type {number} */ last, /** @type {boolean} */ accept) {
  const changes = state.changes.filter(({ frame }) => frame >= first && frame <= last);
  const objects = [...new Set(changes.map(({ object }) => object))];
  if (!objects.length) return;
  const answer = await change(() => request("judge", { objects, first, last, seen: seenRevision(), accept }));
  if (answer)
    undoable(`${accept ? "Accepted" : "Rejected"}: ${answer.masks === 1 ? "1 mask" : `${answer.masks} masks`}.`);
}

/** Mark the masks of the selection, or of all objects, as reviewed, or remove the marks. */
export async function review(/** @type {number} */ first, /** @type {number} */ last) {
  const objects = state.chosenIds.length ? state.chosenIds : state.objects.map(({ id }) => id);
  const marks = objects.flatMap((id) => [...state.marksOf(id)].filter(([frame]) => frame >= first && frame <= last));
  const reviewed = !marks.length || marks.some(([, mark]) => !mark.reviewed);
  const answer = await change(() => request("reviewed", { objects, first, last, seen: seenRevision(), reviewed }));
  if (answer && first !== last)
    notice(
      `${reviewed ? "Reviewed" : "Marked as not reviewed"}: ${answer.masks === 1 ? "1 mask" : `${answer.masks} masks`}.`,
    );
}

/** Hide or show, lock or unlock the selection: an object or a group. */
export function toggleChosen(/** @type {"visible" | "locked"} */ what) {
  const chosen = state.objects.filter((item) => state.chosenIds.includes(item.id));
  if (chosen.length) changeObjects(state.chosenIds, { [what]: !chosen.some((item) => item[what]) });
}

/** Put an object right below another one, or on top of all. */
export const moveLayer = (/** @type {number} */ object, /** @type {number | null} */ below) =>
  void change(() => request("layer", { object, below, seen: state.revision }));

/** Remove an object; it can be taken back until something else is changed. */
export async function remove(/** @type {number} */ object) {
  const name = state.objects.find((item) => item.id === object)?.name;
  if (await change(() => request("remove", { object, seen: state.revision }))) undoable(`Removed ${name}.`);
}

/** Begin a tracking or an export, after the edits that were made before. */
export async function start(/** @type {string} */ op, /** @type {Record<string, unknown>} */ fields) {
  state.starting++;
  const answer = await change(() => request(op, fields));
  state.starting--;
  state.changed();
  return answer;
}

/** Show another video of the list, or going onward the next one that can be opened, after the edits before. */
export async function switchVideo(
  /** @type {number} */ number,
  /** @type {boolean} */ onward,
  /** @type {boolean} */ second,
) {
  const answer = await change(() => request("open", { number, onward, second }));
  if (answer) showVideo(answer.number);
}

/**
 * End the tracking, also one that has not begun yet, or without one the export; with `next` the one that waits begins.
 */
export function stop(next = false) {
  const ask = async () => {
    const { running, exporting } = state;
    const run = (running ?? exporting)?.run ?? null; // of this one alone: another one may begin while it is asked
    if (!(await mayStop(running ?? exporting, running ? "tracking" : "export"))) return {};
    return !running && exporting ? request("stop_export", { run }) : request("stop", { next, run });
  };
  if (state.starting) void change(ask);
  else ask().catch(complain);
}

/** Ask before stopping another person's tracking or export. */
async function mayStop(/** @type {import("./state.js").Running | null} */ job, /** @type {string} */ what) {
  if (!job || isOwn(job.user ?? "", state.user, state.guest)) return true;
  const answer = await question(`${job.user || "Another person"} started this ${what}. Stop it?`, {
    keep: "Keep it running",
    stop: "Stop",
  });
  return answer === "stop";
}

/** Resume the paused trackings of a person; ask first if it is another person. */
export async function resume(/** @type {string} */ user) {
  if (!isOwn(user, state.user, state.guest)) {
    const text = `${user || "Another person"} stopped this tracking. Resume it?`;
    const answer = await question(text, { leave: "Leave it stopped", resume: "Go on" });
    if (answer !== "resume") return;
  }
  await track("forward", { resume: true, whose: user });
}

/** Move a waiting tracking to a place, the first one is the next; without one it waits no more. */
export const moveWaiting = (/** @type {number} */ waiting, /** @type {number | null} */ place) =>
  void request("move", { waiting, place }).catch(complain);

/** requested trackings without an answer yet, which are not requested twice */
const asked = new Set();

/** Track the selection, with objects corrected on the same frame and not tracked since; or all objects. */
export async function track(/** @type {string} */ direction, fields = {}) {
  hold();
  const {
    frame,
    group,
    wanted: [first, last],
  } = state;
  const objects = state.chosenIds.length ? state.chosenIds : null;
  const wanted = { direction, frame, first, last, objects, due: group === null, ...fields };
  const key = JSON.stringify(wanted);
  if (asked.has(key)) return;
  asked.add(key);
  const answer = await start("track", wanted);
  asked.delete(key);
  if (answer?.queued) notice("This tracking is queued. The side panel shows the order.");
}

export const trackAll = (/** @type {string} */ direction) => track(direction, { objects: null, due: false });
