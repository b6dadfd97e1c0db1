// Places on the image.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  awayFrom,
  boxOf,
  distance,
  fitted,
  isInside,
  isOn,
  rounded,
  toLine,
} from "../../../src/segue_web/static/places.js";

test("a box may be drawn from any of its corners", () => {
  const [a, b] = [
    { x: 30, y: 10 },
    { x: 5, y: 40 },
  ];
  assert.deepEqual(boxOf(a, b), [5, 10, 30, 40]);
  assert.deepEqual(boxOf(b, a), [5, 10, 30, 40]);
});

test("places are told to a tenth of a pixel", () => {
  assert.deepEqual(rounded({ x: 3.14159, y: 2.71828 }), [3.1, 2.7]);
  assert.equal(distance({ x: 0, y: 0 }, { x: 3, y: 4 }), 5);
});

test("the right and lower rim are no part of the image", () => {
  const size = { width: 64, height: 48 };
  assert.ok(isOn({ x: 0, y: 0 }, size));
  assert.ok(isOn({ x: 63.9, y: 47.9 }, size));
  assert.ok(!isOn({ x: 64, y: 0 }, size));
  assert.ok(!isOn({ x: 0, y: -0.1 }, size));
});

test("a name steps aside from the pointer, in the direction in which it lies", () => {
  const pointer = { x: 52, y: 50 };
  assert.deepEqual(awayFrom({ x: 200, y: 200 }, pointer, 60), { x: 200, y: 200 });
  assert.deepEqual(awayFrom({ x: 50, y: 50 }, pointer, 60), { x: -8, y: 50 });
  assert.deepEqual(awayFrom(pointer, pointer, 60), { x: 52, y: -10 });
});

test("an image is as large as there is room, in the middle", () => {
  assert.deepEqual(fitted([50, 100], [200, 200]), { left: 0, top: 50, width: 200, height: 100 });
  assert.deepEqual(fitted([50, 100], [100, 420], 10), { left: 130, top: 10, width: 160, height: 80 });
});

test("a place is inside of a polygon where a ray from it crosses its lines an odd number of times", () => {
  const arrow = [
    [0, 0],
    [10, 5],
    [0, 10],
    [4, 5],
  ];
  assert.ok(isInside({ x: 6, y: 5 }, arrow));
  assert.ok(!isInside({ x: 2, y: 5 }, arrow), "in its notch");
  assert.ok(!isInside({ x: 20, y: 5 }, arrow));
});

test("a place is as far from a line as from its nearest point", () => {
  assert.equal(toLine({ x: 5, y: 3 }, [0, 0], [10, 0]), 3);
  assert.equal(toLine({ x: 13, y: 4 }, [0, 0], [10, 0]), 5, "beyond its end");
  assert.equal(toLine({ x: 3, y: 4 }, [0, 0], [0, 0]), 5, "of no length");
});
