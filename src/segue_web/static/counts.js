// How many events there were, by hours or days.

import { startsOf, tickOf } from "./calendar.js";
import { element, make, span, tell } from "./dom.js";
import { get } from "./http.js";

/** @typedef {{begin: number, events: Record<string, number>}} Count */

/** bars of a chart @type {Record<string, number>} */
const BARS = { hour: 24, day: 14 };

/** What the counts are to be of. @returns {["hour" | "day", string]} */
const countsChoice = () => [element("counts-by").value === "day" ? "day" : "hour", element("counts-camera").value];

/** Bars of what was counted. */
export async function loadCounts() {
  const [by, camera] = countsChoice();
  const wanted = new URLSearchParams({ edges: String(startsOf(by, BARS[by], new Date())) });
  if (camera) wanted.set("camera", camera);
  /** @type {{counts: Count[], problems: string[]}} */
  const { counts, problems } = await get(`counts?${wanted}`);
  if (String([by, camera]) !== String(countsChoice())) return; // others are wanted now
  problems.slice(0, 1).forEach(tell);
  const kinds = [...new Set(counts.flatMap((count) => Object.keys(count.events)))]
    .filter((kind) => !/^(leave|end|online)/.test(kind))
    .sort((a, b) => Number(b === "enter") - Number(a === "enter") || a.localeCompare(b));
  element("counts-empty").hidden = kinds.length > 0;
  element("charts").replaceChildren(
    ...kinds.map((kind) => {
      const numbers = counts.map((count) => count.events[kind] ?? 0);
      const most = Math.max(...numbers);
      const bars = numbers.map((number, i) => {
        const bar = make("i", { title: `${tickOf(by, counts[i].begin)}${by === "day" ? "" : ":00"}: ${number}` });
        bar.style.height = `${(100 * number) / most}%`;
        return bar;
      });
      const [what, ...zone] = kind.split(" ");
      /** @type {Record<string, string>} */
      const titles = {
        enter: "Objects that entered",
        "zone-enter": `Entered ${zone.join(" ")}`,
        "zone-leave": `Left ${zone.join(" ")}`,
        cross: `Crossed ${zone.join(" ")}`,
        loiter: `Stayed in ${zone.join(" ")}`,
        offline: "Camera lost",
      };
      const title = titles[what] ?? kind;
      const total = numbers.reduce((sum, number) => sum + number, 0);
      const chart = make(
        "div",
        {
          className: "bars",
          role: "img",
          "aria-label": `${title}: ${numbers.map((number, i) => `${tickOf(by, counts[i].begin)} ${number}`).join(", ")}`,
        },
        bars,
      );
      return make("section", { className: "chart" }, [
        make("h2", {}, [title, span(`${total.toLocaleString("en")} in total, maximum ${most.toLocaleString("en")}`)]),
        chart,
        make(
          "div",
          { className: "ticks", "aria-hidden": "true" },
          counts.map((count) => span(tickOf(by, count.begin))),
        ),
      ]);
    }),
  );
}

/** Hear of the choices. */
export function beginCounts() {
  for (const id of /** @type {const} */ (["counts-camera", "counts-by"]))
    element(id).onchange = () => void loadCounts().catch(tell);
}
