// The person's keys of commands and tools, which are saved by person for all projects.

import { state } from "./state.js";

/** keys that are of the page itself: objects, opacity, the cross, and what ends */
const RESERVED = /^([0-9]|(shift\+)?[wasd]|Enter|Escape|Tab|(shift\+)?Tab|Shift|Control|Alt|Meta|CapsLock)$/i;

/**
 * The key of a command or a tool, by its name; ``usual`` where none was chosen. Projects have keys from before they
 * were saved by person.
 */
export const keysOf = (/** @type {string} */ name, usual = "") =>
  String(state.ownKeys[name] ?? state.settings[`key:${name}`] ?? usual);

/** Whether a key is of the page itself. */
export const isReserved = (/** @type {string} */ pressed) => RESERVED.test(pressed);

/** A key with Shift as tools and commands name it, such as "b" and "shift+B". */
export function pressedKeys(/** @type {KeyboardEvent} */ event) {
  // Caps Lock turns letters round: only the Shift key counts.
  const letter = /^[a-z]$/i.test(event.key);
  let key = event.key === " " ? "space" : event.key;
  if (letter) key = event.shiftKey ? key.toUpperCase() : key.toLowerCase();
  return event.shiftKey && (letter || event.key.length > 1) ? `shift+${key}` : key;
}
