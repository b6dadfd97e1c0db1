// Run lengths, as pycocotools writes them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { maskBox, without } from "../../../src/segue_web/static/runs.js";

test("a mask of pycocotools is read within its box", () => {
  // 6x5 pixels: rows 1 and 2 of column 1, rows 2 to 4 of column 3, row 5 of column 4
  const { inside, ...box } = maskBox("72;1KN", 6);
  assert.deepEqual(box, { x: 1, y: 1, width: 4, height: 5 });
  assert.deepEqual([...inside], [1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
});

test("an empty mask is one pixel", () => {
  assert.deepEqual(maskBox("n0", 6), { inside: new Uint8Array(1), x: 0, y: 0, width: 1, height: 1 });
});

test("runs of more than one character, and equal to the run two places before, are read", () => {
  // 300x400 pixels: rows 10 to 289 of columns 20 to 379
  const { inside, ...box } = maskBox(`jk5h8d${"0".repeat(718)}Vk5`, 300);
  assert.deepEqual(box, { x: 20, y: 10, width: 360, height: 280 });
  assert.ok(inside.every((value) => value === 1));
});

test("what a mask has and another one has not lies within the box of the first", () => {
  const one = { inside: Uint8Array.of(1, 1, 1, 1, 0, 1), x: 2, y: 5, width: 3, height: 2 };
  const other = { inside: Uint8Array.of(1, 1, 0, 1), x: 3, y: 4, width: 2, height: 2 };
  assert.deepEqual(without(one, other), { ...one, inside: Uint8Array.of(1, 1, 0, 1, 0, 1) });
  assert.deepEqual([...without(other, one).inside], [1, 1, 0, 0]);
});
