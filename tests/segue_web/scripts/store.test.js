// Who hears of which change.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Store } from "../../../src/segue_web/static/store.js";

/** A store whose listeners are told by `next`. */
function made() {
  const frames = [];
  globalThis.requestAnimationFrame = (call) => frames.push(call);
  const [store, heard] = [new Store(), []];
  store.listen(() => heard.push("state"));
  store.listen(() => heard.push("image"), "image");
  const next = () => {
    for (const call of frames.splice(0)) call();
    return heard.splice(0);
  };
  return { store, next };
}

test("several changes are told once, before the next image", () => {
  const { store, next } = made();
  for (let i = 0; i < 3; i++) store.changed();
  assert.deepEqual(next(), ["state", "image"]);
  assert.deepEqual(next(), []);
});

test("a change of one part is told to those alone that listen to it", () => {
  const { store, next } = made();
  store.changed("image");
  assert.deepEqual(next(), ["image"]);
  store.changed("image");
  store.changed();
  assert.deepEqual(next(), ["state", "image"]);
});

test("a change that a listener makes is told afterwards, and who listens no more hears of none", () => {
  const { store, next } = made();
  const once = () => {
    store.ignore(once);
    store.changed("image");
  };
  store.listen(once);
  store.changed();
  assert.deepEqual(next(), ["state", "image"]);
  assert.deepEqual(next(), ["image"]);
});
