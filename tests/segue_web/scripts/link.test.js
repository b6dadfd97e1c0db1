import assert from "node:assert/strict";
import test, { mock } from "node:test";

/** A segue whose project has a revision, and which hears requests. */
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
  answer(fields) {
    const { id } = this.asked[this.asked.length - 1];
    this.onmessage({ data: JSON.stringify({ id, ...fields }) });
  }
}

class Node {
  children = [];
  firstElementChild = null;
  style = {};
  append() {}
  remove() {}
  setAttribute() {}
  replaceChildren() {}
}
const node = new Node();
Object.assign(globalThis, {
  WebSocket: Socket,
  requestAnimationFrame: () => 0,
  location: { href: "http://127.0.0.1:1/secret/", pathname: "/secret/", hash: "" },
  document: {
    getElementById: () => node,
    querySelectorAll: () => [],
    querySelector: () => node,
    createElement: () => node,
  },
});
/** @type {Map<string, string>} */
const storage = new Map();
globalThis.localStorage = /** @type {any} */ ({
  setItem: (key, value) => storage.set(key, value),
  getItem: (key) => storage.get(key) ?? null,
});
const { connect, giveName, hello, loadFrames, takeName } = await import("../../../src/segue_web/static/link.js");
const { state } = await import("../../../src/segue_web/static/state.js");

const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};
const data = (frame, revision) => ({ frame, revision, masks: {}, prompts: {}, marks: {} });

test("an older copy of the project is what the page begins with after it was connected anew", async () => {
  connect(
    () => {},
    () => {},
  );
  Socket.last.onopen();
  Object.assign(state, { revision: 50, forgotten: 40, frame: 3 });
  state.setFrameData(data(3, 50));
  Socket.last.onclose = null;

  connect(
    () => {},
    () => {},
  );
  Socket.last.onopen();
  const greeting = hello();
  Socket.last.answer({ revision: 7 });
  assert.equal((await greeting)?.revision, 7);
  assert.equal(Socket.last.asked.length, 1, "it is asked once");
  assert.ok(!state.isFresh(3), "what was known of a frame is of another copy");
  assert.ok(state.setFrameData(data(3, 7)));
  assert.ok(state.isFresh(3));
});

test("an answer that stays older than what the page has heard is asked for again after waits that grow", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    connect(
      () => {},
      () => {},
    );
    Socket.last.onopen();
    state.revision = 50; // an event has come before
    const greeting = hello();
    const asked = [];
    for (let tenth = 0; tenth < 300; tenth++) {
      if (Socket.last.asked.length > asked.length) {
        asked.push(tenth);
        Socket.last.answer({ revision: 7 });
      }
      await turns();
      mock.timers.tick(100);
      await turns();
    }
    assert.ok(asked.length < 16, `${asked.length} times in 30 seconds`);
    assert.ok(asked[asked.length - 1] - asked[asked.length - 2] >= 39);
    state.revision = 7;
    for (let i = 0; i < 50 && Socket.last.asked.length === asked.length; i++) {
      mock.timers.tick(100);
      await turns();
    }
    Socket.last.answer({ revision: 7 });
    assert.equal((await greeting)?.revision, 7);
  } finally {
    mock.timers.reset();
  }
});

test("frames that stay older than what the page has heard are asked for again after waits that grow", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    connect(
      () => {},
      () => {},
    );
    Socket.last.onopen();
    state.frameData.clear();
    state.outdateFrames(50);
    void loadFrames([3]);
    let count = 0;
    for (let tenth = 0; tenth < 300; tenth++) {
      if (Socket.last.asked.length > count) {
        count++;
        Socket.last.answer({ frames: [data(3, 7)] });
      }
      await turns();
      mock.timers.tick(100);
      await turns();
    }
    assert.ok(count > 5 && count < 16, `${count} times in 30 seconds`);
  } finally {
    mock.timers.reset();
  }
});

test("the browser says who it is, and a guest stays one and keeps a name of its own", async () => {
  connect(
    () => {},
    () => {},
  );
  Socket.last.onopen();
  void hello();
  const [first] = Socket.last.asked;
  assert.equal(first.guest, false);
  assert.ok(first.browser.length > 20);

  assert.equal(takeName("Ann", false), false);
  assert.equal(state.user, "Ann");
  giveName("Anna");
  takeName("Ann", false);
  assert.equal(state.user, "Anna", "what was typed stays");
  takeName("Cleo", false);
  assert.equal(state.user, "Cleo", "until segue is started with another name");

  storage.delete("segue-user");
  assert.equal(takeName("Person 2", true), true, "the person is told");
  assert.equal(takeName("Person 3", true), false);
  assert.equal(state.user, "Person 2");
  giveName("Ben");
  takeName("Person 2", true);
  assert.equal(state.user, "Ben");
  giveName("");
  assert.equal(state.user, "Person 2", "a guest always has a name");
  void hello();
  assert.deepEqual(
    Socket.last.asked.map(({ browser, guest }) => [browser === first.browser, guest]),
    [
      [true, false],
      [true, true],
    ],
  );
});
