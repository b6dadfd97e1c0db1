// The connection of a page to its server: requests with answers, events, and a new try whenever it is lost.

/** longest milliseconds between two tries */
const LONGEST = 4000;

/** milliseconds between two looks whether something has come */
const SILENCE = 1000;

/** code of a connection that is closed because too many pages are open */
export const FULL = 1013;

/** code of a connection that is lost without a word */
const GONE = 1006;

/** Milliseconds before a try is repeated, which grow. */
export const waitBefore = (/** @type {number} */ tries, first = 50) => Math.min(LONGEST, first * 2 ** tries);

/** An answer that says no; the message is for the person. */
export class Refused extends Error {
  constructor(/** @type {string} */ message, stale = false) {
    super(message);
    this.stale = stale;
  }
}

/**
 * The socket of a page, which is opened again and again.
 *
 * `onState` hears whether it is open and, if not, the code that closed it; `onEvent` of what the server publishes.
 * `isServer` tells before a new try whether the server is there: null if nobody answers, false if it is another
 * program, to which the page says nothing; then `onState` hears that it will not return. A socket by which nothing has
 * come for `patience` milliseconds is given up, as nobody tells of a network that is gone.
 */
export class Socket {
  /**
   * @param {{onState: (open: boolean, mayReturn: boolean, code: number) => void, onEvent?: (event: any) => void,
   *   isServer?: () => Promise<boolean | null>, patience?: number}} options
   */
  constructor({ onState, onEvent = () => {}, isServer = isSegue, patience = Infinity }) {
    this.onState = onState;
    this.onEvent = onEvent;
    this.isServer = isServer;
    /** what is called with the answers that are due, by the number of the request @type {Map<number, Function>} */
    this.waiting = new Map();
    this.number = 0;
    this.tries = 0;
    this.ended = false;
    this.heard = 0;
    this.connect();
    if (patience < Infinity) setInterval(() => Date.now() - this.heard > patience && this.drop(), SILENCE);
  }

  connect() {
    /** an answer whose bytes are to follow @type {any} */
    let coming = null;
    const socket = (this.socket = new WebSocket(new URL("ws", location.href.replace(/^http/, "ws"))));
    this.heard = Date.now();
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.onState(true, true, 0);
    socket.onmessage = ({ data }) => {
      this.tries = 0;
      this.heard = Date.now();
      const message = typeof data === "string" ? JSON.parse(data) : { ...coming, data };
      if (message.data === true) {
        coming = message;
        return;
      }
      if (message.event) {
        this.onEvent(message);
        return;
      }
      this.waiting.get(message.id)?.(message);
      this.waiting.delete(message.id);
    };
    socket.onclose = ({ code }) => {
      for (const answer of this.waiting.values()) answer({ error: "the connection was lost; try again" });
      this.waiting.clear();
      if (this.ended) return;
      this.onState(false, true, code);
      this.tryAgain();
    };
  }

  tryAgain() {
    setTimeout(
      async () => {
        if (this.ended) return;
        const known = await this.isServer();
        if (known === null) this.tryAgain();
        else if (known) this.connect();
        else this.onState(false, false, 0);
      },
      waitBefore(this.tries++, 250),
    );
  }

  /** Give the connection up without waiting for its end, which takes minutes where the network is gone. */
  drop() {
    const { socket } = this;
    const closed = socket?.onclose;
    if (!socket || !closed) return;
    Object.assign(socket, { onopen: null, onmessage: null, onclose: null });
    socket.close();
    closed.call(socket, new CloseEvent("close", { code: GONE }));
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Close it for good. */
  end() {
    this.ended = true;
    this.socket?.close();
  }

  /** The answer to a request; an error where it is refused. @returns {Promise<any>} */
  async request(/** @type {string} */ op, fields = {}) {
    const { socket } = this;
    if (socket?.readyState !== WebSocket.OPEN) throw new Refused("not connected to segue");
    const id = ++this.number;
    const answer = await new Promise((resolve) => {
      this.waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, op, ...fields }));
    });
    if (answer.error) throw new Refused(answer.error, Boolean(answer.stale));
    return answer;
  }
}

/** Whether who answers at this address knows its secret, which no other program may hear; null where nobody answers. */
async function isSegue() {
  const challenge = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  const answer = await fetch(`/proof/${challenge}`)
    .then((response) => response.text())
    .catch(() => null);
  if (answer === null) return null;
  const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);
  const key = await crypto.subtle.importKey(
    "raw",
    bytes(location.pathname.split("/")[1]),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );
  const given = Uint8Array.from(answer.match(/[0-9a-f]{2}/g) ?? [], (pair) => parseInt(pair, 16));
  return crypto.subtle.verify("HMAC", key, given, bytes(challenge));
}
