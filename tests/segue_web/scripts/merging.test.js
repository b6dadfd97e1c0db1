import assert from "node:assert/strict";
import test from "node:test";

import { mergeSchemas } from "../../../src/segue_web/static/merging.js";

const item = (name, more = {}) => ({ name, colour: null, key: null, attributes: [], ...more });
const text = (name, more = {}) => ({ name, type: "text", of: "object", values: [], ...more });
const schema = (classes, attributes = []) => ({ classes, attributes });

test("classes that two people add are both there", () => {
  const base = schema([item("car")]);
  const merged = mergeSchemas(base, schema([item("car"), item("bus")]), schema([item("car"), item("tram")]));
  assert.deepEqual(merged, schema([item("car"), item("tram"), item("bus")]));
});

test("of two new classes with one key mine has none, so that both can be saved", () => {
  const base = schema([item("car", { key: "1" })]);
  const [mine, theirs] = ["bus", "tram"].map((name) => schema([...base.classes, item(name, { key: "2" })]));
  const { classes } = mergeSchemas(base, mine, theirs);
  assert.deepEqual(
    classes.map(({ name, key }) => [name, key]),
    [
      ["car", "1"],
      ["tram", "2"],
      ["bus", null],
    ],
  );
});

test("changes of different values of one class are both there, and of one value mine stays", () => {
  const base = schema([item("car", { colour: "#000000", key: "c" })]);
  const mine = schema([item("car", { colour: "#111111", key: "c", attributes: [text("plate")] })]);
  const theirs = schema([item("car", { colour: "#222222", key: "a", attributes: [text("paint")] })]);
  const [car] = mergeSchemas(base, mine, theirs).classes;
  assert.deepEqual([car.colour, car.key, car.attributes.map(({ name }) => name)], ["#111111", "a", ["paint", "plate"]]);
});

test("what one removed is gone, unless the other has changed it", () => {
  const base = schema([item("car"), item("bus"), item("tram")], [text("note"), text("pose")]);
  const mine = schema([item("car", { key: "c" }), item("bus")], [text("pose")]);
  const theirs = schema([item("tram"), item("bus")], [text("note", { of: "frame" }), text("pose")]);
  const merged = mergeSchemas(base, mine, theirs);
  assert.deepEqual(
    merged,
    schema([item("bus"), item("car", { key: "c" })], [text("note", { of: "frame" }), text("pose")]),
  );
});

test("without a change of mine it is theirs", () => {
  const base = schema([item("car"), item("bus")]);
  const theirs = schema([item("bus", { colour: "#123456" })], [text("pose")]);
  assert.deepEqual(mergeSchemas(base, structuredClone(base), theirs), theirs);
});
