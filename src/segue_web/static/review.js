// Frames to look at next, computed from what the page knows; no part of the page is touched.

/**
 * @typedef {import("./state.js").TrackedObject} TrackedObject
 * @typedef {import("./state.js").FrameAnnotation} FrameAnnotation
 * @typedef {{frame: number, object: TrackedObject, value: number, text: string}} Unsure
 */

/** a mask from clicks is listed below this confidence, whatever the threshold of tracked ones is */
const DOUBTFUL = 0.5;
/** two listed frames of an object are further apart than this */
const APART = 10;
const MOST_OF_AN_OBJECT = 12;
const MOST = 20;

/**
 * Frames on which an object jumps or falls apart come first for each object, then those of the lowest confidence.
 * @param {TrackedObject[]} objects
 * @param {(id: number) => Map<number, FrameAnnotation>} marksOf annotations of an object by frame
 * @param {[number, number, string][]} flaws frame, object and what is strange there
 * @param {number} limit confidence below which a frame is listed
 * @returns {Unsure[]} the least sure one first
 */
export function unsureFrames(objects, marksOf, flaws, limit) {
  return objects
    .flatMap((object) => unsureOf(object, marksOf(object.id), flaws, limit))
    .sort((a, b) => a.value - b.value)
    .slice(0, MOST);
}

/**
 * @param {TrackedObject} object
 * @param {Map<number, FrameAnnotation>} marks
 * @param {[number, number, string][]} flaws
 * @param {number} limit
 */
function unsureOf(object, marks, flaws, limit) {
  /** @type {Unsure[]} */
  const strange = [];
  for (const [frame, id, text] of flaws) {
    const mark = marks.get(frame);
    if (id !== object.id || !mark || !mark.area || mark.kind === "given" || mark.reviewed) continue;
    strange.push({ frame, object, value: mark.score, text });
  }
  const doubtful = [...marks]
    .filter(([, mark]) => isDoubtful(mark, limit))
    .sort(([, a], [, b]) => a.score - b.score)
    .map(([frame, { score }]) => ({ frame, object, value: score, text: score.toFixed(2) }));
  /** @type {Unsure[]} */
  const kept = [];
  for (const item of [...strange, ...doubtful]) {
    const isApart = kept.every((other) => Math.abs(other.frame - item.frame) > APART);
    if (kept.length < MOST_OF_AN_OBJECT && isApart) kept.push(item);
  }
  return kept;
}

/**
 * Whether a mask probably fits badly and is not reviewed.
 * @param {FrameAnnotation} mark @param {number} limit
 */
export const isDoubtful = (mark, limit) => mark.area > 0 && !mark.reviewed && mark.score < limitOf(mark, limit);

/** @param {FrameAnnotation} mark @param {number} limit */
const limitOf = (mark, limit) => (mark.kind === "given" ? Math.min(limit, DOUBTFUL) : limit);

/**
 * The frame with a mask that is not empty and nearest to a frame, null where there is none.
 * @param {Map<number, FrameAnnotation>} marks @param {number} frame
 */
export function nearestMask(marks, frame) {
  let best = null;
  for (const [other, { area }] of marks) {
    if (area && (best === null || Math.abs(other - frame) < Math.abs(best - frame))) best = other;
  }
  return best;
}

/**
 * The frame with the lowest mean of the measures, further than ten frames from all visited ones.
 * @param {number[][]} curve rows of a frame and its measures
 * @param {Iterable<number>} visited
 * @returns {number | undefined}
 */
export function worstFrame(curve, visited) {
  const isFar = (/** @type {number} */ frame) => [...visited].every((other) => Math.abs(other - frame) > APART);
  const rows = curve
    .filter(([frame]) => isFar(frame))
    .map(([frame, ...values]) => ({ frame, value: values.reduce((sum, one) => sum + one, 0) / values.length }));
  return rows.sort((a, b) => a.value - b.value)[0]?.frame;
}

/**
 * Over which frames of a film a score is, and why not over all. @param {{done: number, total: number, truths?: number,
 * left_out?: string}} score @param {number} frames of the film
 */
export function scoreNote({ done, total, truths, left_out: leftOut = "" }, frames) {
  const given = truths ?? frames;
  const without = frames - given;
  const reasons = [
    total < given ? leftOut : "",
    without > 0 ? `${without} ${without === 1 ? "has" : "have"} no ground truth` : "",
  ].filter(Boolean);
  const why = reasons.length ? `: ${reasons.join("; ")}` : "";
  if (total === 0) return `no frame is scored${why}`;
  if (done < total) return `over ${done} of ${total} frames so far${why}`;
  return `over ${total}${total < frames ? ` of ${frames}` : ""} frames${why}`;
}
