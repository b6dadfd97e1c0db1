// The dialog of exports: a format, its options, what is written, and one button.

import { dialog, make, sentence, tick } from "./dom.js";
import { start } from "./edits.js";
import { state } from "./state.js";

/** a person's last format, for the next export */
let last = "";

/** The frames that an export of objects begins and ends with: the range that is set, or what has masks. */
export function usualRange(/** @type {number[]} */ objects) {
  const { wanted, video, settings } = state;
  if (Number(settings.from) >= 0 || Number(settings.to) >= 0) return wanted;
  const frames = maskedFrames(objects, [0, video.frames - 1]);
  return frames.length ? [frames[0], frames[frames.length - 1]] : wanted;
}

/** The frames of a range on which one of the objects has a mask, ascending. */
export function maskedFrames(/** @type {number[]} */ objects, /** @type {number[]} */ [first, end]) {
  const frames = new Set(objects.flatMap((id) => [...state.marksOf(id).keys()]));
  return [...frames].filter((frame) => frame >= first && frame <= end).sort((a, b) => a - b);
}

export function exportDialog() {
  const chosen = new Set(state.group === null ? state.objects.map((item) => item.id) : state.chosenIds);
  const end = state.video.frames - 1;
  const limit = (/** @type {string} */ name) => make("input", { type: "number", min: 0, max: end, "aria-label": name });
  const [from, to] = [limit("First frame"), limit("Last frame")];
  let isRangeSet = false;
  for (const input of [from, to])
    input.oninput = () => {
      isRangeSet = true;
      show();
    };
  const range = () => [from, to].map((input) => Math.min(end, Math.max(0, Math.round(Number(input.value) || 0))));
  const boxes = state.objects.map(({ id, name }) => {
    const { box, label } = tick(name, { checked: chosen.has(id) });
    box.onchange = () => {
      if (box.checked) chosen.add(id);
      else chosen.delete(id);
      show();
    };
    return make("li", {}, [label]);
  });
  const whole = tick("Include frames without masks, as frames without objects");
  const soft = tick("Estimate the soft edge from the image for objects without one (some seconds per frame)");
  const colours = make("select", { "aria-label": "Colours" });
  const colourRow = make("label", { className: "row" }, ["Colours", colours]);
  const each = tick("Export each object separately");
  for (const { box, label } of [whole, soft, each]) {
    label.className = "tick";
    box.onchange = () => show();
  }

  /** @type {typeof state.formats[number] | undefined} */
  let format = state.formats.find(({ id }) => id === last) ?? state.formats[0];
  const [name, about, preview] = [make("h3"), make("p", { className: "quiet" }), make("p", { id: "export-preview" })];
  const radios = state.formats.map((item) =>
    make(
      "button",
      { role: "radio", "data-format": item.id, textContent: item.name, onclick: () => choose(item), onkeydown: move },
      [],
    ),
  );
  const groups = [...new Set(state.formats.map(({ group }) => group))].flatMap((title) => [
    make("h3", { textContent: title }),
    ...radios.filter((_, i) => state.formats[i].group === title),
  ]);

  /** Go to the next or previous format by arrow keys. */
  function move(/** @type {KeyboardEvent} */ event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const place = state.formats.findIndex((item) => item === format) + step;
    const next = state.formats[(place + state.formats.length) % state.formats.length];
    choose(next);
    radios[state.formats.indexOf(next)].focus();
    event.preventDefault();
  }

  function choose(/** @type {NonNullable<typeof format>} */ item) {
    format = item;
    name.textContent = item.name;
    const { bits = 8 } = state.video;
    const depth = item.bits < bits ? `${item.bits} of the ${bits} bits of the video` : `${bits} bits, as the video`;
    about.textContent = `${sentence(item.text)}.${item.opacity === "with colours" ? ` Colours have ${depth}.` : ""}`;
    whole.label.hidden = !item.known_only;
    soft.label.hidden = item.opacity === "none";
    colourRow.hidden = item.opacity !== "with colours";
    const usual = item.premultiplied ? "premultiplied" : "straight";
    colours.replaceChildren(
      ...["straight", "premultiplied"].map((value) =>
        make("option", { value, textContent: value === "straight" ? value : "premultiplied (colour times opacity)" }),
      ),
    );
    colours.value = usual;
    show();
  }

  /** Say what is written as it is chosen now. */
  function show() {
    const objects = [...chosen];
    if (!isRangeSet) [from.value, to.value] = usualRange(objects).map(String);
    for (const [i, radio] of radios.entries()) {
      radio.setAttribute("aria-checked", String(state.formats[i] === format));
      radio.tabIndex = state.formats[i] === format ? 0 : -1;
    }
    const [first, stop] = range();
    const masked = maskedFrames(objects, [first, stop]);
    const count = format?.known_only && !whole.box.checked ? masked.length : Math.max(0, stop - first + 1);
    const many = (/** @type {number} */ number, /** @type {string} */ noun) =>
      `${number} ${noun}${number === 1 ? "" : "s"}`;
    const isReady = Boolean(format && (masked.length || state.pending)); // an export has the edits before it
    preview.textContent = isReady
      ? `${many(count, "frame")} (${first} to ${stop}) of ${many(objects.length, "object")}, masks on ${many(masked.length, "frame")}, as ${fileName()}`
      : "There are no masks to export on these frames.";
    preview.title = `${state.folder}/exports`;
    button.disabled = !isReady;
  }

  /** The name of what is written, without a number where it exists. */
  function fileName() {
    const suffix = each.box.checked ? "/" : format?.suffix || "/";
    return `${state.video.name}-${format?.id ?? ""}${suffix}`;
  }

  function run() {
    if (!format) return;
    box.close();
    last = format.id;
    const [first, stop] = range();
    void start("export", {
      format: format.id,
      objects: [...chosen],
      all_frames: !whole.label.hidden && whole.box.checked,
      first,
      last: stop,
      soft: !soft.label.hidden && soft.box.checked,
      premultiplied: colourRow.hidden ? null : colours.value === "premultiplied",
      each: each.box.checked,
    });
  }

  const button = make("button", { className: "primary", id: "export-run", textContent: "Export", onclick: run });
  const box = dialog(
    "Export",
    [
      make("div", { className: "exports" }, [
        make("div", { className: "formats", role: "radiogroup", "aria-label": "Format" }, groups),
        make("div", { className: "options" }, [
          name,
          about,
          make("div", { className: "row" }, [make("label", {}, ["Frames from", from]), make("label", {}, ["to", to])]),
          whole.label,
          each.label,
          soft.label,
          colourRow,
          make("h3", { textContent: "Objects" }),
          make("ul", { className: "found" }, boxes),
        ]),
      ]),
    ],
    [preview, button],
  );
  box.classList.add("broad");
  if (format) choose(format);
  radios.find((radio) => radio.tabIndex === 0)?.focus();
}
