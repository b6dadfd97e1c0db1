// What is tracked, what was interrupted, and what waits for its turn.

import { commandButton, element, fill, iconButton, make, short, span, swatch } from "./dom.js";
import { moveWaiting, stop, track } from "./edits.js";
import { complain, request } from "./link.js";
import { state } from "./state.js";

/** @type {Record<string, string>} */
const WAYS = { forward: "forwards", back: "backwards", between: "to the next correction" };

export function showQueue() {
  const { running, interrupted, queue } = state;
  element("queue").hidden = !running && !interrupted && !queue.length;
  const shown = [
    running?.objects,
    running?.what,
    running ? null : interrupted,
    queue,
    state.objects.map(({ id, name, colour }) => [id, name, colour]),
  ];
  fill(element("waiting"), shown, () => [
    ...(running
      ? [
          row(running.objects, `tracked ${WAYS[running.what]}`, [
            iconButton("close", "Stop this tracking; the next one begins", () => stop(true)),
          ]),
        ]
      : []),
    ...(!running && interrupted ? [stopped(interrupted)] : []),
    ...(!running && !interrupted ? [make("li", {}, [goOn("Begin")])] : []),
    ...queue.map(waiting),
  ]);
  commandButton("stop").title = queue.length ? "Stop (Escape): those that wait go on waiting" : "Stop (Escape)";
}

const goOn = (/** @type {string} */ textContent) =>
  make("button", { textContent, onclick: () => void track("forward", { resume: true }) });

function stopped(/** @type {import("./state.js").Interrupted} */ { objects, done, total }) {
  const forget = iconButton(
    "close",
    "Forget this tracking; its masks stay",
    () => void request("drop").catch(complain),
  );
  return row(objects, `stopped: ${done} of ${total} frames`, [goOn("Go on"), forget]);
}

function waiting(
  /** @type {import("./state.js").Waiting} */ { id, objects, direction, start },
  /** @type {number} */ place,
) {
  const move = (/** @type {string} */ icon, /** @type {string} */ label, /** @type {number | null} */ to) =>
    iconButton(icon, label, () => moveWaiting(id, to), {
      disabled: to !== null && (to < 0 || to >= state.queue.length),
      "data-focus": `${icon}${id}`,
    });
  return row(objects, `waits: ${WAYS[direction]} from ${start}`, [
    move("up", "Earlier", place - 1),
    move("down", "Later", place + 1),
    move("close", "Take out", null),
  ]);
}

function row(
  /** @type {number[] | undefined} */ objects = [],
  /** @type {string} */ text,
  /** @type {Node[]} */ buttons,
) {
  const items = state.objects.filter(({ id }) => objects.includes(id));
  const name = items.length === 1 ? short(items[0].name) : `${items.length} objects`;
  return make("li", { title: items.map((item) => item.name).join(", ") }, [
    ...items.slice(0, 1).map(({ colour }) => swatch(colour)),
    make("span", { className: "said" }, [span(name), span(text, "quiet")]),
    make("span", { className: "group" }, buttons),
  ]);
}
