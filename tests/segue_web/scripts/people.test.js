// Who has done what, and the order of comments.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  changeText,
  contribution,
  isOwn,
  openHere,
  ordered,
  pinsOn,
  placeOf,
  remarksOn,
  unread,
  whenText,
  whose,
} from "../../../src/segue_web/static/people.js";

const remark = (id, object, frame, resolved = "") => ({ id, object, frame, text: "", user: "Ann", resolved });

test("work without a name is one's own", () => {
  assert.deepEqual(
    [whose("", "Ann", false), whose("Ann", "Ann", false), whose("Ben", "Ann", false)],
    ["you", "you", "Ben"],
  );
});

test("work without a name is not that of a guest, who always has one", () => {
  assert.deepEqual([whose("", "Person 2", true), whose("Person 2", "Person 2", true)], ["another person", "you"]);
  assert.ok(!isOwn("", "Person 2", true));
});

test("a person's work is counted in words", () => {
  assert.equal(contribution({ user: "A", masks: 1, reviewed: 2, comments: 0 }), "masks on 1 frame, 2 frames reviewed");
  assert.equal(contribution({ user: "A", masks: 0, reviewed: 0, comments: 1 }), "1 comment");
});

test("open comments on what is shown come first", () => {
  const remarks = [remark(1, 2, 5, "Ben"), remark(2, 3, 9), remark(3, 2, 4), remark(4, 2, 5), remark(5, null, 5)];
  assert.deepEqual(
    ordered(remarks, 2, 5).map(({ id }) => id),
    [4, 3, 5, 2, 1],
  );
  assert.deepEqual(
    openHere(remarks, 2, 5).map(({ id }) => id),
    [3, 4, 5],
  );
});

test("a comment names its place", () => {
  const objects = [{ id: 2, name: "Koi" }];
  assert.deepEqual(
    [remark(1, 2, 5), remark(1, 9, null), remark(1, null, 5)].map((one) => placeOf(one, objects)),
    ["Koi, frame 5", "Object 9", "frame 5"],
  );
});

test("a change names objects and frames", () => {
  const change = { label: "tracking", user: "Ann", undone: false, time: null, objects: ["Koi"], frames: [4, 9] };
  assert.equal(changeText(change), "tracking; Koi; frames 4 to 9");
  assert.equal(
    changeText({ ...change, undone: true, objects: ["A", "B", "C", "D"], frames: [3, 3] }),
    "tracking (undone); A, B, 2 more; frame 3",
  );
  assert.equal(changeText({ ...change, objects: ["A", "B", "C"], frames: null }), "tracking; A, B, C");
  assert.equal(changeText({ ...change, label: "label schema", objects: [], frames: null }), "label schema");
});

test("the time of a change has its date where that is another day", () => {
  const now = new Date(2026, 10, 30, 18, 0);
  assert.equal(whenText(new Date(2026, 10, 30, 9, 5).getTime() / 1000, now), "09:05");
  assert.equal(whenText(new Date(2026, 10, 28, 23, 59).getTime() / 1000, now), "Nov 28, 23:59");
  assert.equal(whenText(null, now), "");
});

test("open comments of others are new until they were shown", () => {
  const remarks = [remark(1, 2, 5), remark(2, 2, 5), remark(3, 2, 5, "Ben"), { ...remark(4, 2, 5), user: "Ben" }];
  assert.deepEqual(
    unread(remarks, 1, "Ben", false).map(({ id }) => id),
    [2],
  );
});

test("the timeline marks open comments in the row of their object, and those on frames above all rows", () => {
  const remarks = [
    remark(1, 2, 5),
    remark(2, 2, null),
    remark(3, null, 7),
    remark(4, null, null),
    remark(5, 2, 5, "B"),
  ];
  assert.deepEqual(
    [2, null, 9].map((object) => remarksOn(remarks, object).map(({ id }) => id)),
    [[1, 2], [3], []],
  );
});

test("pins are open comments on places of a frame", () => {
  const at = (id, frame, resolved, x) => ({ id, object: null, frame, text: "", user: "", resolved, x, y: x });
  const remarks = [at(1, 3, "", 5), at(2, 3, "Ann", 5), at(3, 4, "", 5), at(4, 3, "", null), at(5, 3, "", 0)];
  assert.deepEqual(
    pinsOn(remarks, 3).map(({ id, x }) => [id, x]),
    [
      [1, 5],
      [5, 0],
    ],
  );
  assert.equal(placeOf(remarks[0], []), "frame 3, at 5, 5");
});
