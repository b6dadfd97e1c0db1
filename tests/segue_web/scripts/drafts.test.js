import assert from "node:assert/strict";
import test from "node:test";

/** @type {Map<string, string>} */
const storage = new Map();
let leave = () => {};
Object.assign(globalThis, {
  sessionStorage: {
    setItem: (key, value) => storage.set(key, value),
    getItem: (key) => storage.get(key) ?? null,
    removeItem: (key) => storage.delete(key),
  },
  addEventListener: (/** @type {string} */ name, call) => {
    if (name === "pagehide") leave = call;
  },
});
const { keepDrafts, resumeDrafts } = await import("../../../src/segue_web/static/drafts.js");
const { state } = await import("../../../src/segue_web/static/state.js");

test("what is unfinished comes back once, with its video alone", () => {
  let corners = [[1, 2]];
  const resumed = [];
  keepDrafts(
    "polygon",
    () => (corners.length ? corners : null),
    (draft) => resumed.push(draft),
  );
  keepDrafts(
    "comment",
    () => null,
    () => assert.fail("there was none"),
  );
  state.mode = "annotate";
  state.folder = "a.project";
  leave();
  corners = [];

  state.folder = "b.project";
  resumeDrafts();
  assert.deepEqual(resumed, []);
  leave();
  state.folder = "a.project";
  resumeDrafts();
  resumeDrafts();
  assert.deepEqual(resumed, [[[1, 2]]]);
});
