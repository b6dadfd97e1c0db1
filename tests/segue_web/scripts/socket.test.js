import assert from "node:assert/strict";
import test from "node:test";

class FakeSocket {
  static OPEN = 1;
  static all = /** @type {FakeSocket[]} */ ([]);
  readyState = 1;
  closed = 0;
  constructor() {
    FakeSocket.all.push(this);
  }
  send() {}
  close() {
    this.closed++;
  }
}
Object.assign(globalThis, {
  WebSocket: FakeSocket,
  CloseEvent: class {
    constructor(_, { code }) {
      this.code = code;
    }
  },
  location: { href: "http://127.0.0.1:1/", pathname: "/", hash: "" },
});
const { Socket } = await import("../../../src/segue_web/static/socket.js");

const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

test("a connection by which nothing comes any more is given up and opened again", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  FakeSocket.all = [];
  const states = [];
  const socket = new Socket({
    onState: (open) => states.push(open),
    isServer: async () => true,
    patience: 5000,
  });
  const [first] = FakeSocket.all;
  first.onopen();
  for (let second = 0; second < 20; second++) {
    context.mock.timers.tick(1000);
    first.onmessage({ data: '{"event": "states"}' });
  }
  assert.deepEqual([states, first.closed], [[true], 0]);
  const answer = socket.request("images").catch((error) => error.message);
  context.mock.timers.tick(6000);
  assert.deepEqual([states, first.closed], [[true, false], 1]);
  assert.match(await answer, /connection was lost/);
  context.mock.timers.tick(1000);
  await turns();
  assert.equal(FakeSocket.all.length, 2);
  FakeSocket.all[1].onopen();
  assert.deepEqual(states, [true, false, true]);
});

test("a connection that is never opened is tried again", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  FakeSocket.all = [];
  const states = [];
  new Socket({ onState: (open) => states.push(open), isServer: async () => true, patience: 5000 });
  context.mock.timers.tick(6000);
  assert.deepEqual(states, [false]);
  context.mock.timers.tick(1000);
  await turns();
  assert.equal(FakeSocket.all.length, 2);
});

test("a page without such a limit waits", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  FakeSocket.all = [];
  const states = [];
  new Socket({ onState: (open) => states.push(open), isServer: async () => true });
  context.mock.timers.tick(1e6);
  assert.deepEqual(states, []);
});
