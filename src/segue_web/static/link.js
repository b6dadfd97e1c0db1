// The connection to the server: requests with answers, events, and a new try whenever it is lost.

/** An answer that says no; the message is for the person. */
export class Refused extends Error {
  /** @param {string} message @param {boolean} stale */
  constructor(message, stale) {
    super(message);
    this.stale = stale;
  }
}

export class Link {
  /**
   * @param {(event: import("./state.js").ServerEvent) => void} onEvent
   * @param {(online: boolean) => void} onState
   */
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    this.number = 0;
    this.tries = 0;
    /** @type {Promise<unknown>} */
    this.queue = Promise.resolve();
    /** @type {WebSocket | null} */
    this.socket = null;
    this.connect();
  }

  connect() {
    const socket = new WebSocket(new URL("ws", location.href.replace(/^http/, "ws")));
    this.socket = socket;
    socket.onopen = () => { this.tries = 0; this.onState(true); };
    socket.onmessage = (message) => this.hear(JSON.parse(message.data));
    socket.onclose = () => {
      for (const { reject } of this.waiting.values()) reject(new Refused("the connection was lost; do it again", false));
      this.waiting.clear();
      this.onState(false);
      setTimeout(() => this.connect(), Math.min(4000, 250 * 2 ** this.tries++));
    };
  }

  /** @param {any} message */
  hear(message) {
    if (message.event) return this.onEvent(message);
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error) waiting?.reject(new Refused(message.error, Boolean(message.stale)));
    else waiting?.resolve(message);
  }

  /**
   * @param {string} op
   * @param {object} [fields]
   * @returns {Promise<any>}
   */
  ask(op, fields = {}) {
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new Refused("there is no connection to segue at the moment", false));
        return;
      }
      const id = ++this.number;
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, op, ...fields }));
    });
  }

  /**
   * Ask one after the other.
   * @param {() => Promise<any>} change
   * @returns {Promise<any>}
   */
  inTurn(change) {
    const turn = this.queue.then(change, change);
    this.queue = turn.catch(() => undefined);
    return turn;
  }
}
