// Frames to look at next, and the worst frame of a comparison.

import assert from "node:assert/strict";
import { test } from "node:test";

import { nearestMask, scoreNote, unsureFrames, worstFrame } from "../../../src/segue_web/static/review.js";

const object = (id) => ({ id, name: `Object ${id}`, colour: "#fff", visible: true, locked: false });
const mark = (score, more = {}) => ({ kind: "tracked", score, area: 50, reviewed: false, ...more });
const listed = (marks, flaws = [], limit = 0.7) =>
  unsureFrames(
    [object(1)],
    () => new Map(Object.entries(marks).map(([frame, one]) => [Number(frame), one])),
    flaws,
    limit,
  ).map(({ frame }) => frame);

test("the least sure frame comes first", () => {
  assert.deepEqual(listed({ 0: mark(0.6), 20: mark(0.2), 40: mark(0.9), 60: mark(0.4) }), [20, 60, 0]);
});

test("frames within ten of a listed one are left out", () => {
  assert.deepEqual(listed({ 0: mark(0.3), 10: mark(0.4), 11: mark(0.5) }), [0, 11]);
});

test("hidden and reviewed masks are not listed", () => {
  assert.deepEqual(listed({ 0: mark(0.1, { area: 0 }), 20: mark(0.1, { reviewed: true }) }), []);
});

test("a mask from clicks is listed below 0.5 alone", () => {
  assert.deepEqual(listed({ 0: mark(0.6, { kind: "given" }), 20: mark(0.4, { kind: "given" }) }, [], 0.9), [20]);
});

test("a jump is listed though the tracker is sure of it, not on a corrected frame", () => {
  const marks = { 5: mark(0.95), 50: mark(0.95, { kind: "given" }) };
  const flaws = [
    [5, 1, "jumps"],
    [50, 1, "jumps"],
    [5, 2, "of another object"],
  ];
  assert.deepEqual(listed(marks, flaws), [5]);
});

test("at most twelve frames of an object and twenty in all are listed", () => {
  const marks = new Map(Array.from({ length: 40 }, (_, i) => [20 * i, mark(0.1 + i / 100)]));
  assert.equal(unsureFrames([object(1)], () => marks, [], 0.7).length, 12);
  assert.equal(unsureFrames([object(1), object(2)], () => marks, [], 0.7).length, 20);
});

test("the worst frame is that of the lowest mean, and the next one lies further than ten frames away", () => {
  const curve = [
    [0, 0.9, 0.9],
    [10, 0.1, 0.5],
    [15, 0.3, 0.4],
    [30, 0.6, 0.2],
  ];
  assert.equal(worstFrame(curve, []), 10);
  assert.equal(worstFrame(curve, [10]), 30);
  assert.equal(worstFrame(curve, [10, 30, 0]), undefined);
});

test("the nearest mask is not an empty one", () => {
  const marks = new Map([
    [2, mark(1)],
    [9, mark(1)],
    [6, mark(1, { area: 0 })],
  ]);
  assert.deepEqual([nearestMask(marks, 7), nearestMask(marks, 0), nearestMask(new Map(), 7)], [9, 2, null]);
});

test("a score says over which frames it is, and why not over all", () => {
  const leftOut = "the first and last frame with ground truth are left out, as in DAVIS";
  const score = { done: 58, total: 58, truths: 60, left_out: leftOut };
  assert.equal(scoreNote(score, 60), `over 58 of 60 frames: ${leftOut}`);
  assert.equal(scoreNote({ ...score, done: 7 }, 61), `over 7 of 58 frames so far: ${leftOut}; 1 has no ground truth`);
  assert.equal(scoreNote({ done: 60, total: 60, truths: 60, left_out: "" }, 60), "over 60 frames");
  assert.equal(scoreNote({ done: 0, total: 0, truths: 2, left_out: leftOut }, 2), `no frame is scored: ${leftOut}`);
});
