// Exposure, gamma and hatching.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isHatched, NUM_HATCHES, SAFE, safeColour } from "../../../src/segue_web/static/colours.js";
import { tableOf } from "../../../src/segue_web/static/grade.js";

test("no exposure and a gamma of one change nothing", () => {
  assert.deepEqual([...tableOf(0, 1)], [...Array(256).keys()]);
});

test("a stop doubles the light, and white stays white", () => {
  const table = tableOf(1, 1);
  const light = (value) => (value / 255) ** 2.2;
  for (const value of [20, 60, 120]) assert.ok(Math.abs(light(table[value]) / light(value) - 2) < 0.1);
  assert.deepEqual([table[0], table[255]], [0, 255]);
  assert.ok(tableOf(-1, 1)[120] < 120);
});

test("a gamma above one brightens what is dark, and neither black nor white", () => {
  const table = tableOf(0, 2);
  assert.deepEqual([table[0], table[255]], [0, 255]);
  assert.ok(table[30] > 80);
});

test("each way to hatch has lines of its own, on the same places of every frame", () => {
  const shown = Array.from({ length: NUM_HATCHES }, (_, hatch) =>
    Array.from({ length: 81 }, (_, i) => isHatched(hatch, i % 9, Math.floor(i / 9), 9)),
  );
  assert.equal(new Set(shown.map(String)).size, NUM_HATCHES);
  for (const lines of shown) {
    const share = lines.filter(Boolean).length / 81;
    assert.ok(share > 0.25 && share < 0.6, String(share));
  }
  assert.equal(isHatched(0, -9, 3, 9), isHatched(0, 0, 3, 9));
});

test("colours come again after all of them", () => {
  assert.deepEqual([safeColour(0), safeColour(SAFE.length), new Set(SAFE).size], [SAFE[0], SAFE[0], SAFE.length]);
});
