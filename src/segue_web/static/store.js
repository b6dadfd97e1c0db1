// What a page knows, and who wants to hear of it.

/** A change of whatever there is. */
const ALL = "all";

/** Tells those who listen, once before the next image, that something has changed. */
export class Store {
  /** those who listen, and of what else than all they hear @type {Map<() => void, Set<string>>} */
  listeners = new Map();
  /** what has changed since they were told @type {Set<string>} */
  due = new Set();

  /** Have a listener called after each change, and after those of these parts alone. */
  listen(/** @type {() => void} */ listener, /** @type {string[]} */ ...parts) {
    this.listeners.set(listener, new Set([ALL, ...parts]));
  }

  /** Call a listener no more. */
  ignore(/** @type {() => void} */ listener) {
    this.listeners.delete(listener);
  }

  /** Tell that something has changed: all that listen, or where it is of one part those alone that listen to it. */
  changed(part = ALL) {
    if (!this.due.size) requestAnimationFrame(() => this.tell());
    this.due.add(part);
  }

  tell() {
    const { due } = this;
    this.due = new Set();
    for (const [listener, parts] of [...this.listeners]) if ([...due].some((part) => parts.has(part))) listener();
  }
}
