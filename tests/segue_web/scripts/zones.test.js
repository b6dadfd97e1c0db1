// Zones as the file of cameras has them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freeName, heightText, replacedHeight, zoneText } from "../../../src/segue_web/static/zones.js";

test("zones and least heights are written as the command line takes them", () => {
  const points = [
    [5, 10],
    [50.5, 10],
  ];
  assert.equal(zoneText({ name: "door", points, percent: true }), "door=5%,10% 50.5%,10%");
  assert.equal(zoneText({ name: "door", points, percent: false }), "door=5,10 50.5,10");
  assert.equal(heightText([100, 12.5]), "100:12.5");
  assert.equal(heightText([0, 20]), "20");
});

test("a least height replaces the one of all rows, that of its row, or of two the nearer one", () => {
  assert.equal(replacedHeight([], 100), null);
  assert.deepEqual(replacedHeight([[0, 20]], 100), [0, 20]);
  assert.deepEqual(replacedHeight([[100, 20]], 100), [100, 20]);
  assert.equal(replacedHeight([[100, 20]], 300), null);
  const two = [
    [100, 20],
    [400, 60],
  ];
  assert.deepEqual(replacedHeight(two, 110), [100, 20]);
  assert.deepEqual(replacedHeight(two, 400), [400, 60]);
});

test("a new zone has a name of its own", () => {
  const named = (...names) => names.map((name) => ({ name, points: [], percent: true }));
  assert.equal(freeName([]), "zone");
  assert.equal(freeName(named("door")), "zone");
  assert.equal(freeName(named("zone", "zone 2", "zone 4")), "zone 3");
});
