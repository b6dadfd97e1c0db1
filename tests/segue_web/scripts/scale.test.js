// Frames and pixels of the timeline, and its zoom.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  frameAtShare,
  hiddenPixels,
  namedFrames,
  pixelOf,
  rangeFrom,
  scrolledTo,
  zoomed,
} from "../../../src/segue_web/static/scale.js";

test("a frame is found where it is drawn", () => {
  for (const range of [
    [0, 99],
    [12.5, 40],
  ]) {
    for (const frame of [13, 20, 40]) assert.equal(frameAtShare(pixelOf(frame, range, 700) / 700, range, 100), frame);
  }
  assert.deepEqual([frameAtShare(-1, [0, 99], 100), frameAtShare(2, [0, 99], 100)], [0, 99]);
});

test("a range stays within the video", () => {
  assert.deepEqual(rangeFrom(-5, 20, 100), [0, 20]);
  assert.deepEqual(rangeFrom(95, 20, 100), [79, 99]);
  assert.deepEqual(rangeFrom(3, 500, 100), [0, 99]);
  assert.deepEqual(rangeFrom(0, 1, 1), [0, 1]);
});

test("zooming keeps the frame under the pointer", () => {
  const range = zoomed([0, 999], 250, 0.5, 1000, 700);
  assert.equal(range[1] - range[0], 499.5);
  assert.equal(pixelOf(250, range, 700), pixelOf(250, [0, 999], 700));
  const near = zoomed([100, 115], 110, 0.01, 1000, 700);
  assert.equal(near[1] - near[0], 10, "never fewer than ten frames");
  assert.deepEqual(zoomed([100, 600], 300, 100, 1000, 700), [0, 999]);
});

test("the scroll bar goes from the first frames to the last ones", () => {
  const range = [200, 300];
  const [before, all] = hiddenPixels(range, 1001, 500);
  assert.deepEqual([before, all], [1000, 4500]);
  assert.deepEqual(scrolledTo(before, range, 1001, 500), range);
  assert.deepEqual(scrolledTo(0, range, 1001, 500), [0, 100]);
  assert.deepEqual(scrolledTo(all, range, 1001, 500), [900, 1000]);
});

test("the ruler names round frames with room between them", () => {
  assert.deepEqual(namedFrames([0, 99], 900), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
  assert.deepEqual(namedFrames([3, 14], 990), [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  for (const [span, width] of [
    [99, 300],
    [4321, 800],
    [70, 1500],
  ]) {
    const [first, second] = namedFrames([0, span], width);
    assert.ok(pixelOf(second, [0, span], width) - pixelOf(first, [0, span], width) >= 90);
  }
});
