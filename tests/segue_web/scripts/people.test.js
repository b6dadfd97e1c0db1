// Who has done what, and the order of comments.

import assert from "node:assert/strict";
import { test } from "node:test";

import { contribution, isOwn, openHere, ordered, placeOf, whose } from "../../../src/segue_web/static/people.js";

const remark = (id, object, frame, resolved = "") => ({ id, object, frame, text: "", user: "Ann", resolved });

test("work without a name is one's own", () => {
  assert.deepEqual(
    [whose("", "Ann", false), whose("Ann", "Ann", false), whose("Ben", "Ann", false)],
    ["you", "you", "Ben"],
  );
});

test("work without a name is not that of a guest, who always has one", () => {
  assert.deepEqual([whose("", "Person 2", true), whose("Person 2", "Person 2", true)], ["somebody else", "you"]);
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
