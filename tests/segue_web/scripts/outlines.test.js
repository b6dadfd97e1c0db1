// Outlines over a clip.

import assert from "node:assert/strict";
import { test } from "node:test";

import { outlinesAt } from "../../../src/segue_web/static/outlines.js";

test("an outline is shown from its moment on until the next one, and for a second at most", () => {
  const track = {
    steps: 100,
    frames: [
      [0.2, ["a"]],
      [0.4, ["b"]],
      [0.6, []],
      [2, ["c"]],
    ],
  };
  const shown = [0, 0.2, 0.39, 0.4, 0.7, 1.9, 2.5, 3.1].map((time) => outlinesAt(track, time).join());
  assert.deepEqual(shown, ["", "a", "a", "b", "", "", "c", ""]);
});
