// Health: all figures of all cameras, and of the process.

import { cameras } from "./cameras.js";
import { element, fill, make } from "./dom.js";
import { get } from "./http.js";
import { bytes, word } from "./words.js";

/** @typedef {import("./cameras.js").State} State */

/** what the process had used when it was asked last */
let process = { processor: 0, wall: 0, memory: /** @type {number | null} */ (null) };
let view = "";

/** name, text and value of each column @type {[string, (state: State) => string][]} */
const COLUMNS = [
  ["frames/s", (state) => state.fps.toFixed(1)],
  ["delay", (state) => `${state.delay.toFixed(1)} s`],
  ["frames", (state) => state.frames.toLocaleString("en")],
  ["dropped", (state) => state.dropped.toLocaleString("en")],
  ["damaged", (state) => state.damaged.toLocaleString("en")],
  ["reconnects", (state) => String(state.reconnects)],
  ["failures", (state) => String(state.restarts)],
  ["events", (state) => state.events.toLocaleString("en")],
  ["pending messages", (state) => state.undelivered.toLocaleString("en")],
  ["images and clips", (state) => bytes(state.disk_used)],
  ["per day", (state) => bytes(state.disk_per_day)],
];

async function showHealth() {
  fill(element("health-head"), COLUMNS.length, () => [
    make(
      "tr",
      {},
      ["camera", "state", ...COLUMNS.map(([name]) => name)].map((name) =>
        make("th", { textContent: name, scope: "col" }),
      ),
    ),
  ]);
  element("health-rows").replaceChildren(
    ...Object.entries(cameras.states).map(([name, state]) =>
      make("tr", {}, [
        make("th", { textContent: name, scope: "row" }),
        make("td", {}, [
          make("span", {
            className: `status ${state.status}`,
            textContent: word(state),
            title: state.disk_problem || state.error,
          }),
        ]),
        ...COLUMNS.map(([title, of]) => make("td", { textContent: of(state), "data-name": title })),
      ]),
    ),
  );
  const now = await get("process");
  const used = (now.processor - process.processor) / (now.wall - process.wall);
  const left = Object.values(cameras.states)[0]?.disk_days_left;
  const words = process.wall ? [`${Math.round(100 * used)} % of a CPU core`] : [];
  if (now.memory !== null) words.push(`${bytes(now.memory)} of memory`);
  if (left !== null && left !== undefined) words.push(`the disk is full in ${left.toLocaleString("en")} days`);
  else if (Object.values(cameras.states).some((state) => state.disk_used))
    words.push("images and clips stay within --keep");
  process = now;
  element("process").textContent = words.join("; ");
}

cameras.listen(() => {
  if (view !== cameras.view) process = { processor: 0, wall: 0, memory: null }; // what it uses from now on
  ({ view } = cameras);
  if (view === "health") void showHealth();
});
