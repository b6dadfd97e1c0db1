// No key discards typing without a question.

import { question } from "./dom.js";

const cut = (/** @type {string} */ text) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);

/**
 * Leave a field by Escape: ask whether to keep or discard what was typed; without an answer the field keeps the focus.
 * @param {KeyboardEvent} event @param {any} field @param {string} before @param {() => void} keep
 */
export async function leave(event, field, before, keep) {
  event.preventDefault(); // else the key also closes the question
  const { value, onchange } = field;
  if (value.trim() === before.trim()) {
    field.blur();
    return;
  }
  field.onchange = null; // the question takes the focus, which is no yes
  const answer = await question(`Keep “${cut(value.trim())}”?`, { keep: "Keep", discard: "Discard" });
  field.value = answer === "discard" ? before : value;
  if (answer === null) field.focus();
  else field.blur();
  field.onchange = onchange;
  if (answer === "keep") keep();
}
