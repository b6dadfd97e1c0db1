// Marks of visits of several cameras, some of which refuse them.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { reviewed } from "../../../src/segue_web/static/review_list.js";

const visit = (camera, number) => ({
  camera,
  place: `${camera}/${number}`,
  object: number,
  label: null,
  zones: [],
  moment: number,
  end: null,
  reviewed: false,
  kept: false,
  by: "",
  events: [],
});

/** cameras that refuse, with why */
let refusals = {};

beforeEach(() => {
  refusals = {};
  globalThis.requestAnimationFrame = () => 0;
  globalThis.fetch = async (path, { body }) => {
    const camera = path.slice("marks/".length);
    const { visits, mark, value } = JSON.parse(body);
    if (refusals[camera] instanceof Error) throw refusals[camera];
    if (refusals[camera]) return new Response(refusals[camera], { status: 400 });
    const now = { reviewed: false, kept: false, by: "Ann", [mark]: value };
    return Response.json(Object.fromEntries(visits.map((number) => [number, now])));
  };
});

afterEach(() => {
  delete globalThis.fetch;
  delete globalThis.requestAnimationFrame;
});

for (const [kind, refusal] of [
  ["refuses", "the disk is full"],
  ["does not answer", new TypeError("the disk is full")],
])
  test(`a camera that ${kind} keeps no other from being marked and shown`, async () => {
    for (const bad of ["door", "road", "yard"]) {
      refusals = { [bad]: refusal };
      const visits = ["door", "road", "yard"].flatMap((camera) => [visit(camera, 1), visit(camera, 2)]);
      await assert.rejects(reviewed.mark(visits, "reviewed", true), /2 of 6 visits were not marked: the disk is full/);
      assert.deepEqual(
        visits.filter((one) => !one.reviewed).map(({ place }) => place),
        [`${bad}/1`, `${bad}/2`],
      );
    }
  });

test("parts of one camera that are refused are counted, and the others are shown", async () => {
  const visits = Array.from({ length: 700 }, (_, i) => visit("door", i));
  const answer = globalThis.fetch;
  let calls = 0;
  globalThis.fetch = (path, request) =>
    calls++ ? answer(path, request) : Promise.resolve(new Response("not now", { status: 400 }));
  await assert.rejects(reviewed.mark(visits, "kept", true), /300 of 700 visits were not marked: not now/);
  assert.equal(visits.filter(({ kept }) => kept).length, 400);
});

test("where all refuse, the reason alone is said, and later marks are set", async () => {
  const visits = [visit("door", 1), visit("road", 1)];
  refusals = { door: "not now", road: "not now" };
  await assert.rejects(reviewed.mark(visits, "kept", true), /^Error: not now$/);
  refusals = {};
  await reviewed.mark(visits, "kept", true);
  assert.ok(visits.every(({ kept }) => kept));
});
