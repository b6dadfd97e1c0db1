// What is tracked, and what waits for its turn, or until a person goes on.

import { commandButton, element, fill, iconButton, make, short, span, swatch } from "./dom.js";
import { moveWaiting, resume, stop } from "./edits.js";
import { isOwn } from "./people.js";
import { state } from "./state.js";

/** @type {Record<string, string>} */
const WAYS = { forward: "forwards", back: "backwards", between: "to the next correction" };

export function showQueue() {
  const { running, queue, user, guest } = state;
  element("queue").hidden = !running && !queue.length;
  const shown = [
    running?.objects,
    running?.what,
    running?.user,
    queue,
    [user, guest],
    state.objects.map(({ id, name, colour }) => [id, name, colour]),
  ];
  fill(element("waiting"), shown, () => [
    ...(running
      ? [
          row(running.objects, `tracked ${WAYS[running.what]}`, running.user, [
            iconButton("close", "Stop this tracking and start the next one", () => stop(true)),
          ]),
        ]
      : []),
    ...queue.map(waiting),
  ]);
  commandButton("stop").title = queue.length
    ? "Stop (Escape); the other trackings of this person then wait"
    : "Stop (Escape)";
}

function waiting(/** @type {import("./state.js").Waiting} */ entry, /** @type {number} */ place) {
  const { id, objects, direction, start, user, held, done, total } = entry;
  const isFirst = state.queue.findIndex((one) => one.user === user) === place;
  const hasBegun = done !== null;
  const holding = hasBegun ? "stopped" : "paused";
  const from = hasBegun ? ` at ${Math.floor((100 * done) / total)} %` : `: ${WAYS[direction]} from ${start}`;
  const move = (/** @type {string} */ icon, /** @type {string} */ label, /** @type {number | null} */ to) =>
    iconButton(icon, label, () => moveWaiting(id, to), {
      disabled: to !== null && (to < 0 || to >= state.queue.length),
      "data-focus": `${icon}${id}`,
    });
  return row(objects, (held ? holding : "queued") + from, user, [
    ...(isFirst && (held || !state.running) ? [goOn(user, hasBegun ? "Go on" : "Start")] : []),
    move("up", "Move up", place - 1),
    move("down", "Move down", place + 1),
    move("close", hasBegun ? "Discard this tracking; its masks stay" : "Remove from the queue", null),
  ]);
}

/** The button that resumes a person's trackings; it asks first if it is another person. */
const goOn = (/** @type {string} */ user, /** @type {string} */ textContent) =>
  isOwn(user, state.user, state.guest)
    ? make("button", { textContent, onclick: () => resume(user) })
    : iconButton("play", `Resume the trackings of ${user || "another person"}`, () => resume(user));

function row(
  /** @type {number[] | undefined} */ objects = [],
  /** @type {string} */ text,
  /** @type {string | undefined} */ user = "",
  /** @type {Node[]} */ buttons,
) {
  const items = state.objects.filter(({ id }) => objects.includes(id));
  const name = items.length === 1 ? short(items[0].name) : `${items.length} objects`;
  const by = isOwn(user, state.user, state.guest) ? "" : `, by ${user || "another person"}`;
  return make("li", { title: `${items.map((item) => item.name).join(", ")}${by}; ${text}` }, [
    ...items.slice(0, 1).map(({ colour }) => swatch(colour)),
    make("span", { className: "said" }, [span(name + by), span(text, "quiet")]),
    make("span", { className: "group" }, buttons),
  ]);
}
