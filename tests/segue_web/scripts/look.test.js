import assert from "node:assert/strict";
import test from "node:test";

/** A segue with one camera, which hears requests. */
class Socket {
  static OPEN = 1;
  static last = /** @type {Socket} */ (/** @type {unknown} */ (null));
  readyState = 1;
  asked = [];
  constructor() {
    Socket.last = this;
  }
  send(text) {
    this.asked.push(JSON.parse(text));
  }
  get images() {
    return this.asked.filter(({ op }) => op === "images");
  }
  answer({ id }, fields, data) {
    this.onmessage({ data: JSON.stringify({ id, ...fields, ...(data && { data: true }) }) });
    if (data) this.onmessage({ data });
  }
  show(request, frame) {
    this.answer(request, { images: [{ camera: "gate", frame, bytes: 1 }] }, new ArrayBuffer(1));
  }
}

const node = new Proxy(() => node, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => "" : name === Symbol.iterator ? [][Symbol.iterator] : node),
  set: () => true,
});
let width = "300";
const canvas = { getAttribute: () => width };
Object.assign(globalThis, {
  WebSocket: Socket,
  location: { href: "http://127.0.0.1:1/", pathname: "/", hash: "" },
  createImageBitmap: async () => ({ close() {} }),
  setInterval: () => 0,
  addEventListener: () => {},
  requestAnimationFrame: () => 0,
  document: {
    hidden: false,
    body: { dataset: {} },
    addEventListener: () => {},
    getElementById: () => node,
    querySelectorAll: () => [],
    querySelector: (name) => (name === "#wall canvas" ? canvas : node),
    createElement: () => node,
    createElementNS: () => node,
    createTextNode: () => node,
  },
});
const { begin, follow } = await import("../../../src/segue_web/static/look.js");
const { cameras } = await import("../../../src/segue_web/static/cameras.js");
void begin();
Socket.last.onopen();

const turns = async () => {
  for (let i = 0; i < 100; i++) await Promise.resolve();
};
const show = (view, chosen = "") => {
  Object.assign(cameras, { view, chosen });
  return void follow();
};
/** The views that are asked for after all requests so far are answered. */
async function askedNext(frame) {
  const before = Socket.last.images;
  const open = before.filter((each) => !each.done);
  for (const request of open) {
    request.done = true;
    Socket.last.show(request, frame);
  }
  await turns();
  return Socket.last.images.slice(before.length).map((each) => each.camera ?? each.width);
}

test("a view that is left and chosen again while its images are awaited is asked for once", async () => {
  show("wall");
  show("camera", "gate");
  show("wall");
  assert.deepEqual(await askedNext(1), [300]);
  assert.deepEqual(await askedNext(2), [300]);
});

test("tiles of another size get images of their size at once", async () => {
  width = "600";
  assert.deepEqual(await askedNext(3), [600]);
  assert.deepEqual(await askedNext(4), [600]);
});

test("images go on after one that cannot be read", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  context.mock.method(globalThis, "createImageBitmap", () => Promise.reject(new Error("no image")), { times: 1 });
  assert.deepEqual(await askedNext(5), [], "not at once");
  context.mock.timers.tick(1000);
  await turns();
  assert.deepEqual(Socket.last.images.at(-1)?.seen, { gate: 4 });
  assert.deepEqual(await askedNext(5), [600]);
});

test("a hidden page asks for no images, and for the newest ones when it is shown again", async () => {
  Object.assign(document, { hidden: true });
  assert.deepEqual(await askedNext(6), []);
  Object.assign(document, { hidden: false });
  void follow();
  await turns();
  assert.deepEqual(Socket.last.images.at(-1)?.seen, {});
});

test("the image of a removed camera is not shown when one of its name is added", async () => {
  await askedNext(7);
  assert.ok(cameras.images.has("gate"));
  Socket.last.onmessage({ data: JSON.stringify({ event: "states", states: {} }) });
  assert.ok(!cameras.images.has("gate"));
});
