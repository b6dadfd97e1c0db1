// Display settings: colours, hatching, neighbours, guides, exposure and gamma.

import { element, make, span, tick } from "./dom.js";
import { GUIDES } from "./guides.js";
import { remember } from "./link.js";
import { NEIGHBOURS } from "./paint.js";
import { go } from "./playback.js";
import { state } from "./state.js";

/** settings that are numbers: name, what they are for, range and step, and what changes nothing
 * @type {["exposure" | "gamma", string, number, number, number, number][]}
 */
const SLIDERS = [
  ["exposure", "Exposure of the video, in stops", -4, 4, 0.25, 0],
  ["gamma", "Gamma of the video; higher values brighten dark areas", 0.4, 3, 0.1, 1],
];

/** Open or close the panel. */
export function toggleDisplay() {
  element("display").togglePopover();
}

/** Show the masks of the frames before and after, or not. */
export function toggleNeighbours() {
  remember("neighbours", !state.settings.neighbours);
  go(state.frame); // loads those that are missing
}

function setPalette(/** @type {string} */ palette) {
  remember("palette", palette);
  state.setObjects(state.known);
}

function slider(/** @type {typeof SLIDERS[number]} */ [name, title, min, max, step]) {
  const input = make("input", { type: "range", min, max, step, title, "aria-label": title, id: `set-${name}` });
  input.oninput = () => {
    state.settings[name] = Number(input.value);
    state.changed();
  };
  input.onchange = () => remember(name, Number(input.value));
  const shown = make("output", { id: `shown-${name}` });
  return make("label", { className: "slider" }, [span(name[0].toUpperCase() + name.slice(1)), input, shown]);
}

function ticked(/** @type {string} */ text, /** @type {string} */ id, /** @type {() => void} */ onchange) {
  const { label } = tick(text, { id, onchange });
  label.className = "tick";
  return label;
}

const palette = make("select", { id: "palette" }, [
  make("option", { value: "own", textContent: "as set" }),
  make("option", { value: "safe", textContent: "for the colour-blind" }),
]);
palette.onchange = () => setPalette(palette.value);
const guides = make(
  "select",
  { id: "guides" },
  GUIDES.map(([value, textContent]) => make("option", { value, textContent })),
);
guides.onchange = () => remember("guides", guides.value);
const backdrop = make("input", { type: "color", id: "backdrop", title: "Colour behind the cut-out" });
backdrop.oninput = () => {
  state.settings.backdrop = backdrop.value;
  state.changed();
};
backdrop.onchange = () => remember("backdrop", backdrop.value);
const behind = make("label", { className: "annotate-only" }, [span("Colour behind the cut-out"), backdrop]);
const reset = make("button", {
  id: "reset-grade",
  textContent: "Reset exposure and gamma",
  onclick: () => {
    for (const [name, , , , , none] of SLIDERS) remember(name, none);
  },
});
const neighbours = ticked("Masks of the previous and next frame (Shift G)", "neighbours", toggleNeighbours);
element("display").append(
  behind,
  make("label", {}, [span("Colours"), palette]),
  ticked("Hatch each mask differently", "hatched", () => remember("hatched", !state.settings.hatched)),
  neighbours,
  make(
    "p",
    { className: "quiet" },
    NEIGHBOURS.map(({ name, colour }) => {
      const dash = make("i", { className: "dash" });
      dash.style.borderColor = colour;
      return make("span", {}, [dash, name]);
    }),
  ),
  make("label", {}, [span("Guides"), guides]),
  ...SLIDERS.map(slider),
  reset,
);

state.listen(() => {
  const { settings } = state;
  element("palette").value = settings.palette;
  element("guides").value = settings.guides;
  if (document.activeElement !== backdrop) backdrop.value = String(settings.backdrop);
  for (const name of /** @type {const} */ (["hatched", "neighbours"])) element(name).checked = Boolean(settings[name]);
  for (const [name] of SLIDERS) {
    element(`set-${name}`).value = String(settings[name]);
    element(`shown-${name}`).textContent = Number(settings[name]).toFixed(2);
  }
  element("reset-grade").disabled = SLIDERS.every(([name, , , , , none]) => Number(settings[name]) === none);
});
