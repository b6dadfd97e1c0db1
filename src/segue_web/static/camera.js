// One camera: its newest image, and the zones, regions and heights that are drawn on it.

import { cameras, IMAGE, looks } from "./cameras.js";
import { element, fill, iconButton, make, span, tell } from "./dom.js";
import { post } from "./http.js";
import { icon } from "./icons.js";
import { look } from "./look.js";
import { drawing } from "./paint.js";
import { paint } from "./picture.js";
import { sceneName, reject } from "./scene.js";
import { aboutText, word } from "./words.js";
import { cornersOf, freeName, heightText, replacedHeight, ZoneEditor, zoneText } from "./zones.js";

/**
 * @typedef {import("./cameras.js").Kind} Kind
 * @typedef {import("./zones.js").Zone} Zone
 */

const canvas = element("canvas");
let placed = { left: 0, top: 0, width: 1, height: 1 }; // the image on the canvas
/** what a drawing will be @type {Kind} */
let drawnKind = "zones";
/** a zone that is drawn or changed */
export const drawn = new ZoneEditor(canvas, () => placed, showDrawing);

const percent = (/** @type {number} */ share) => Math.round(share * 1000) / 10;

let saving = Promise.resolve();

/**
 * Add, replace or remove one thing that is drawn on a camera, one after the other. The server refuses to change what
 * another person has changed since it was displayed.
 * @param {Kind} kind @param {string | null} previous as it was shown, null for a new one
 * @param {string | null} now null removes it @param {() => void} done
 */
function saveDrawn(kind, previous, now, done = () => {}) {
  const name = cameras.chosen;
  const save = async () => {
    const refused = await post(`${kind}/${name}`, { previous, new: now });
    await look();
    if (!refused) done();
    return refused;
  };
  saving = saving
    .then(save)
    .catch((error) => error.message)
    .then((refused) => {
      element("zone-says").textContent = refused;
    });
}

/** Have alerts sent from now on, or not. */
async function arm() {
  const refused = await post(`armed/${cameras.chosen}`, { armed: !cameras.state?.armed });
  if (refused) tell(refused);
  await look();
}

const HINTS = {
  zones: "Click the corners in the image; two points make a line.",
  ignored: "Click the corners of a region, such as a tree. Motion inside it causes no events.",
  heights:
    "Click the feet and the head of the smallest person to detect. Add one near and one far person to follow the perspective.",
};

/** @param {Kind} kind @param {Zone | null} zone */
function beginDrawing(kind, zone = null) {
  const { size, zones, ignored } = cameras.state ?? {};
  if (!size || !zones || !ignored) return;
  chooseKind(kind);
  element("zone-name").value = zone?.name ?? freeName([...zones, ...ignored]);
  drawn.begin(zone ? cornersOf(zone, [1, 1], size) : [], zone?.name, zone ? zoneText(zone) : null);
}

/** @param {Kind} kind */
function chooseKind(kind) {
  if (kind !== drawnKind) Object.assign(drawn, { was: "", previous: null }); // of another list: it is a new one
  drawnKind = kind;
  element("zone-kind").value = kind;
  element("zone-hint").textContent = HINTS[kind];
  element("zone-name-row").hidden = kind === "heights";
  drawn.most = kind === "heights" ? 2 : 100;
  drawn.points.length = Math.min(drawn.points.length, drawn.most);
  showDrawing();
}

function showDrawing() {
  element("zone-form").hidden = !drawn.active;
  element("zone-new").hidden = drawn.active || looks;
  element("zone-save").disabled = !drawn.complete || (drawnKind === "ignored" && drawn.points.length < 3);
  element("zone-back").disabled = !drawn.points.length;
  document.body.classList.toggle("drawing", drawn.active);
  cameras.changed(IMAGE);
}

function showCamera() {
  const { chosen, state } = cameras;
  if (!state) return;
  element("camera-name").textContent = chosen;
  element("camera-status").className = `status ${state.status}`;
  element("camera-status").textContent = word(state);
  const more = [
    `${state.delay.toFixed(1)} s late`,
    `${state.frames.toLocaleString("en")} frames`,
    ...(state.dropped ? [`${state.dropped.toLocaleString("en")} dropped`] : []),
    ...(state.undelivered ? [`${state.undelivered} messages pending`] : []),
  ];
  element("camera-about").textContent = [aboutText(state), ...more].join(", ");
  element("camera-error").textContent = [state.status === "online" ? state.error : "", state.disk_problem]
    .filter(Boolean)
    .join("; ");
  element("camera-armed").hidden = looks;
  element("camera-armed").textContent = state.armed ? "Disarm" : "Arm";
  element("camera-armed").title = state.armed ? "Send no alerts to people" : "Send alerts to people";
  element("camera-events").href = `#events/${chosen}`;
  element("zone-none").hidden =
    state.zones.length + state.ignored.length + state.heights.length + state.scene.length > 0;
  element("zone-new").disabled = !state.size;
  fill(element("zone-list"), [chosen, state.zones, state.ignored, state.heights, state.scene], () => [
    ...state.zones.map((zone) => zoneItem("zones", zone, zone.points.length === 2 ? "line" : "")),
    ...state.ignored.map((zone) => zoneItem("ignored", zone, "ignored")),
    ...state.heights.map(([row, least]) => {
      const text = heightText([row, least]);
      const words = row ? `${Math.round(least)} px at row ${Math.round(row)}` : `${Math.round(least)} px`;
      return make("li", {}, [
        make("b", { textContent: words }),
        span("minimum height", "quiet"),
        ...(looks ? [] : [iconButton("trash", `Remove ${words}`, () => saveDrawn("heights", text, null))]),
      ]);
    }),
    ...state.scene.map(({ number }) =>
      make("li", {}, [
        make("b", { textContent: sceneName(number), title: "Objects appear and disappear here repeatedly" }),
        span("no events", "quiet"),
        ...(looks ? [] : [make("button", { textContent: "Reject", onclick: () => reject(chosen, number) })]),
      ]),
    ),
  ]);
}

/** A line of the list of what is drawn. @param {"zones" | "ignored"} kind @param {Zone} zone @param {string} about */
function zoneItem(kind, zone, about) {
  const option = kind === "zones" ? "zone" : "ignore";
  return make("li", {}, [
    make("b", { textContent: zone.name, title: `--${option} "${zoneText(zone)}"` }),
    span(about, "quiet"),
    ...(looks
      ? []
      : [
          make("button", { textContent: "Edit", onclick: () => beginDrawing(kind, zone) }),
          iconButton("trash", `Remove ${zone.name}`, () => saveDrawn(kind, zoneText(zone), null)),
        ]),
  ]);
}

element("zone-new").hidden = looks;
element("zone-new").append(icon("plus"), "Draw");
element("camera-armed").onclick = () => void arm().catch(tell);
element("zone-new").onclick = () => beginDrawing(drawnKind);
element("zone-kind").onchange = () => chooseKind(/** @type {Kind} */ (element("zone-kind").value));
element("zone-leave").onclick = () => drawn.end();
element("zone-back").onclick = () => drawn.removePoint();
element("zone-save").onclick = () => {
  const { previous, points } = drawn;
  const kind = drawnKind;
  const done = () => {
    if (drawn.points === points) drawn.end(); // and no other drawing was begun since
  };
  if (kind === "heights") {
    const [height] = cameras.state?.size ?? [1];
    const rows = points.map(([, y]) => y * height).sort((a, b) => a - b);
    /** @type {[number, number]} */
    const one = [Math.max(1, Math.round(rows[1])), Math.max(1, Math.round(rows[1] - rows[0]))];
    const replaced = replacedHeight(cameras.state?.heights ?? [], one[0]);
    saveDrawn(kind, replaced && heightText(replaced), heightText(one), done);
    return;
  }
  /** @type {Zone} */
  const zone = {
    name: element("zone-name").value.trim(),
    percent: true,
    points: points.map(([x, y]) => [percent(x), percent(y)]),
  };
  saveDrawn(kind, previous, zoneText(zone), done);
};

cameras.listen(() => {
  if (cameras.view === "camera") showCamera();
});
cameras.listen(() => {
  if (cameras.view !== "camera" || !cameras.state) return;
  const isDrawn = (/** @type {Kind} */ kind, /** @type {Zone} */ zone) =>
    drawn.active && kind === drawnKind && zone.name === drawn.was;
  placed = paint(canvas, cameras.chosen, (kind, zone) => !isDrawn(kind, zone));
  drawn.draw(drawing(canvas), placed.width, placed.height, devicePixelRatio);
}, IMAGE);
