// The dialog of help: first steps, and the keys of tools and commands, which a person can change.

import { dialog, make, notice } from "./dom.js";
import { chooseKey } from "./link.js";
import { isReserved, keysOf, pressedKeys } from "./own_keys.js";
import { state } from "./state.js";
import { TOOLS } from "./tools.js";

/** @typedef {import("./dialogs.js").Command} Command */

/** keys of no command: heading, key and what it does @type {[string, string, string][]} */
const FIXED = [
  ["Objects", "1 – 9", "Select an object"],
  ["View", "Shift 1 – 9, 0", "Set the opacity of the masks: 10 to 90, 100 %"],
  ["Tools", "W A S D", "Move the crosshair (Shift: faster)"],
  ["Tools", "Enter", "Apply the tool at the crosshair"],
  ["View", "Wheel", "Zoom; drag with the middle button to move the image"],
  ["View", "Ctrl Wheel", "Zoom the timeline; double-click to show all of it"],
];

/** headings, and the commands below them; others have the last one @type {[string, string[]][]} */
const GROUPS = [
  ["Tools", ["whole", "smaller", "larger"]],
  [
    "Masks",
    [
      "candidate",
      "hideObject",
      "clearObject",
      "copyMask",
      "pasteMask",
      "undo",
      "redo",
      "find",
      "shapeKey",
      "newObject",
    ],
  ],
  [
    "Video",
    ["play", "back", "forward", "back10", "forward10", "first", "last", "previousGiven", "nextGiven"].concat([
      "rangeFrom",
      "rangeTo",
    ]),
  ],
  ["Track", ["trackForward", "trackBack", "trackBetween", "trackAll", "trackAllBack", "stop"]],
  [
    "Review",
    ["nextUnsure", "review", "reviewRange", "changeView", "acceptChange", "refuseChange", "worst", "commentHere"],
  ],
  [
    "Objects",
    ["rename", "chooseClass", "chooseGroup", "addAttribute", "wholeGroup", "toFront", "toBack", "hide", "lock"],
  ],
  [
    "View",
    ["solo", "masks", "labels", "display", "neighbours", "matteView", "cutoutView", "outlineView", "compare"].concat([
      "fit",
      "zoomIn",
      "zoomOut",
      "sidePanel",
      "timelinePanel",
      "room",
    ]),
  ],
  ["Project", []],
];

const STEPS = [
  "Go to a frame that shows the object well, and click on it. Click on missing parts; right-click on areas outside the object.",
  "Press Track. The masks appear in the timeline; the height of a bar is the confidence.",
  "Go to a frame in “Review next”, correct it, and continue tracking from there. Tracking never replaces a corrected mask and uses it as memory.",
  "Between two corrected frames, press Between: tracking uses both corrections from the start.",
];

/** The heading of a command. */
const groupOf = (/** @type {string} */ name) => (GROUPS.find(([, names]) => names.includes(name)) ?? ["Project"])[0];

export function helpDialog(/** @type {Record<string, Command>} */ commands) {
  const edits = state.mode === "annotate";
  const usable = Object.entries(commands).filter(
    ([, item]) => item.keys && (item.mode ? item.mode === state.mode : edits || !item.can),
  );
  /** tools and commands with a key that can be changed: name in the settings, description, default key and heading
   * @type {[string, string, string, string][]}
   */
  const choices = [
    ...(edits
      ? TOOLS.map((tool) => /** @type {[string, string, string, string]} */ ([tool.id, tool.name, tool.key, "Tools"]))
      : []),
    ...usable.map(
      ([name, item]) =>
        /** @type {[string, string, string, string]} */ ([name, item.name, item.keys ?? "", groupOf(name)]),
    ),
  ];
  const line = (/** @type {Node} */ key, /** @type {string} */ name) =>
    make("div", {}, [make("dt", {}, [key]), make("dd", { textContent: name })]);
  const groups = GROUPS.map(([title]) => {
    const rows = [
      ...choices.filter((choice) => choice[3] === title).map((choice) => line(keyButton(choice, choices), choice[1])),
      ...FIXED.filter(([group]) => group === title && (edits || group === "View")).map(([, keys, name]) =>
        line(make("kbd", { textContent: keys }), name),
      ),
    ];
    return make("section", { hidden: !rows.length }, [make("h3", { textContent: title }), make("dl", {}, rows)]);
  });
  const search = make("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search the keys",
    maxLength: 80,
  });
  search.oninput = () => {
    const wanted = search.value.trim().toLowerCase();
    for (const group of groups) {
      const rows = [...group.querySelectorAll("div")];
      for (const row of rows) row.hidden = !(row.textContent ?? "").toLowerCase().includes(wanted);
      group.hidden = rows.every((row) => row.hidden);
    }
  };
  const steps = make(
    "ol",
    { className: "steps" },
    STEPS.map((text, i) => make("li", { textContent: `${i + 1}. ${text}` })),
  );
  const box = dialog("Help", [
    ...(edits ? [steps] : []),
    make("div", { className: "row" }, [
      search,
      make("p", { className: "quiet grow", textContent: "Click on a key to change it; Delete restores the default." }),
    ]),
    make("div", { className: "keys" }, groups),
  ]);
  box.classList.add("broad");
}

/** A button that shows a key; a click and then another key sets that key, unless it is already used. */
function keyButton(
  /** @type {[string, string, string, string]} */ [name, what, usual],
  /** @type {[string, string, string, string][]} */ choices,
) {
  const show = () => written(keysOf(name, usual));
  const button = make("button", { className: "key-choice", textContent: show(), "aria-label": `Key: ${what}` });
  button.onclick = () => {
    button.textContent = "press a key";
  };
  button.onblur = () => {
    button.textContent = show();
  };
  button.onkeydown = (event) => {
    const pressed = pressedKeys(event);
    if (button.textContent !== "press a key" || ["Shift", "Tab", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const given = event.key === "Delete" ? usual : pressed;
    const taken = choices.find(([other, , key]) => other !== name && keysOf(other, key) === given);
    if (event.ctrlKey || event.metaKey || event.altKey || isReserved(given) || taken)
      notice(`${written(given)} is already used${taken ? `: ${taken[1]}` : ""}.`, "bad");
    else chooseKey(name, given);
    button.textContent = show();
  };
  return button;
}

/** Keys as a person reads them. */
export function written(/** @type {string} */ keys) {
  /** @type {Record<string, string>} */
  const names = { space: "Space", ArrowLeft: "←", ArrowRight: "→", shift: "Shift", ctrl: "Ctrl" };
  return (
    keys
      .split("+")
      .filter((part) => part)
      .map((part) => names[part] ?? (part.length === 1 ? part.toUpperCase() : part))
      .join(" ") || keys
  );
}
