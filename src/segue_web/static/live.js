// The page of a run: the newest frame with its masks, zones and lines, how fast it goes, and the last events.

import { listenKeys, playKey } from "./controls.js";
import { clock, element, headerButton, letThemeChange, make, press, swatch } from "./dom.js";
import { eventText, label, subjectOf } from "./happenings.js";
import { icon } from "./icons.js";
import { cleared, paintedMask, rimOf } from "./paint.js";
import { fitted } from "./places.js";
import { maskBox } from "./runs.js";
import { FULL, Socket } from "./socket.js";
import { drawZones, ZoneEditor } from "./zones.js";

/**
 * @typedef {{name: string, points: [number, number][], percent: boolean, line: boolean}} Zone
 * @typedef {{name: string, live: boolean, zones: Zone[], colours: string[], events: boolean}} About
 * @typedef {{what: string, done: number, total: number | null, rate: number | null, age: number | null, delay:
 *   number | null, dropped: number}} Run
 * @typedef {{number: number, index: number, time: number, size: [number, number], full: [number, number],
 *   masks: Record<string, string>, boxes: Record<string, [number, number, number, number]>, labels: Record<string,
 *   string>}} FrameImage
 * @typedef {{event: string, object: number, time: number, seconds: number, label: string | null, zone: string,
 *   direction: string}} Happening
 * @typedef {{about?: About, run: Run, events: [number, Happening][], ended: string, image?: FrameImage}} News
 */

const SHOWN_EVENTS = 100;
const LATE = 3; // seconds without a frame that are worth a word
const RESTART = 1012; // code of a socket that the end of the server closes

const canvas = element("canvas");
/** @type {About} */
let about = { name: "segue", live: false, zones: [], colours: ["#f2495c"], events: true };
/** @type {FrameImage | null} */
let image = null;
/** @type {ImageBitmap | null} */
let bitmap = null;
/** masks as images, made when they are shown @type {{image: HTMLCanvasElement, x: number, y: number}[] | null} */
let overlay = null;
let ended = "";
let isKnown = false; // whether the page has the description of the run
let lastEvent = 0;
let asking = false; // whether an answer is awaited: one at a time, however often a run is held and goes on
const shown = { pause: false, masks: true, zones: true, opacity: 0.45 };

let placed = { left: 0, top: 0, width: 1, height: 1 }; // the image on the canvas
/** a zone that is being drawn */
const drawn = new ZoneEditor(canvas, () => (image ? placed : null), showNewZone);

const colourOf = (/** @type {number} */ id) => about.colours[(id - 1) % about.colours.length];

// Talking to the run

/** Show the news of the run, one answer after the other; a hidden page sends no requests. */
async function follow() {
  if (asking || shown.pause || ended || !socket.open) return;
  asking = true;
  const seen = { image: image?.number ?? 0, event: lastEvent, about: !isKnown };
  const news = await socket.request("next", seen).catch(() => null);
  if (news) hear(news);
  if (news?.image) {
    const decoded = await createImageBitmap(new Blob([news.data])).catch(() => bitmap); // the next one may be readable
    [image, bitmap] = [news.image, decoded];
    overlay = null;
    draw();
  }
  asking = false;
  if (!news) setTimeout(follow, 1000 * LATE);
  else if (news.image) requestAnimationFrame(follow);
  else void follow();
}

const socket = new Socket({
  onState: (open, mayReturn, code) => {
    element("offline").hidden = open || Boolean(ended);
    if (open) void follow();
    else if (!mayReturn || code === RESTART) end("The run has ended.");
    else if (code === FULL)
      element("offline").textContent = "Too many pages show this run. Close one; this page then connects.";
    else
      element("offline").textContent =
        "The connection to the run is lost. If it has ended, start it again and use the new address.";
  },
});

function end(/** @type {string} */ text) {
  ended = text;
  socket.end();
  element("offline").hidden = true;
  element("hint").textContent = text;
  element("age").textContent = "";
}

function hear(/** @type {News} */ news) {
  if (news.about) {
    about = news.about;
    isKnown = true;
    element("run-name").textContent = document.title = about.name;
    element("zones").hidden = !about.zones.length;
    element("events-empty").replaceChildren(
      "Nothing yet.",
      ...(about.events ? [] : [" To see events, use ", make("code", { textContent: "--events FILE" }), "."]),
    );
  }
  element("hint").textContent = news.image || image ? "" : "Waiting for the first frame …";
  showRun(news.run);
  for (const [number, event] of news.events) addEvent((lastEvent = number), event);
  if (news.ended) end(news.ended);
}

function showRun(/** @type {Run} */ run) {
  const late = !ended && run.age !== null && run.age > LATE;
  element("rate").textContent = run.rate === null ? "–" : `${run.rate.toFixed(1)} frames/s`;
  const pass = run.what && run.what !== "frames" ? `${run.what[0].toUpperCase()}${run.what.slice(1)}: ` : "";
  element("frames").textContent =
    `${pass}${run.done.toLocaleString("en")}${run.total ? ` of ${run.total.toLocaleString("en")}` : ""} ${pass ? "" : "frames"}`.trim();
  const dropped = run.dropped ? `, ${run.dropped.toLocaleString("en")} frames dropped` : "";
  const delay = run.delay === null ? "" : `${run.delay.toFixed(1)} s late${dropped}`;
  element("age").textContent = late ? `no new frame for ${Math.round(run.age ?? 0)} s` : delay;
  element("age").className = late ? "late" : "";
  element("bar").hidden = !run.total;
  element("bar").max = run.total ?? 1;
  element("bar").value = run.done;
}

function addEvent(/** @type {number} */ number, /** @type {Happening} */ event) {
  const who = make("b", { textContent: `${subjectOf(event)} ` });
  const data = { "data-event": event.event, "data-number": number };
  element("events").prepend(
    make("li", data, [
      swatch(event.object ? colourOf(event.object) : "transparent"),
      make("span", {}, [who, eventText(event)]),
      make("time", { textContent: clock(event.time) }),
    ]),
  );
  while (element("events").childElementCount > SHOWN_EVENTS) element("events").lastElementChild?.remove();
  element("events-empty").hidden = true;
}

// The image

function draw() {
  const context = cleared(canvas);
  if (!image || !bitmap) return;
  const [height, width] = image.size;
  placed = fitted([height, width], [canvas.height, canvas.width], 12 * devicePixelRatio);
  const scale = placed.width / width;
  context.setTransform(scale, 0, 0, scale, placed.left, placed.top);
  context.drawImage(bitmap, 0, 0, width, height);
  element("clock").textContent = clock(image.time);
  const pixel = devicePixelRatio / scale;
  if (shown.masks) {
    overlay ??= Object.entries(image.masks).map(([id, counts]) =>
      paintedMask(maskBox(counts, height), rimOf(width, height), colourOf(Number(id)), shown.opacity),
    );
    for (const mask of overlay) context.drawImage(mask.image, mask.x, mask.y);
    for (const [id, [x0, y0, x1]] of Object.entries(image.boxes)) {
      if (Object.keys(image.boxes).length > 1 || image.labels[id])
        label(context, `${id} ${image.labels[id] ?? ""}`, (x0 + x1) / 2, y0 - 9 * pixel, pixel, colourOf(Number(id)));
    }
  }
  if (shown.zones) drawZones(context, about.zones, image.size, image.full, pixel);
  drawn.draw(context, width, height, pixel);
}

// Drawing a zone

function showNewZone() {
  press("draw", drawn.active);
  element("new-zone").hidden = !drawn.active;
  document.body.classList.toggle("drawing", drawn.active);
  element("zone-text").textContent = drawn.complete ? zoneText() : "";
  element("zone-back").disabled = !drawn.points.length;
  element("zone-copy").disabled = !drawn.complete;
  draw();
}

/** The zone as an option of segue, in pixels of the source. */
function zoneText() {
  const name = element("zone-name").value.replace(/[=;"]/g, "").trim() || "zone";
  const [height, width] = image ? image.full : [1, 1];
  const corners = drawn.points.map(([x, y]) => [Math.round(x * (width - 1)), Math.round(y * (height - 1))]);
  return `--zone "${name}=${corners.map((corner) => corner.join(",")).join(" ")}"`;
}

function toggleDrawing() {
  if (drawn.active) drawn.end();
  else drawn.begin();
}

element("zone-name").oninput = showNewZone;
element("zone-back").append(icon("undo"), "Remove point");
element("zone-back").onclick = () => drawn.removePoint();
element("zone-copy").append(icon("copy"), "Copy");
element("zone-copy").onclick = () => navigator.clipboard.writeText(element("zone-text").textContent);

// Buttons and keys

/** @typedef {"pause" | "masks" | "zones"} Switch */

function toggle(/** @type {Switch} */ what) {
  shown[what] = !shown[what];
  press(what, shown[what]);
  if (what === "pause") {
    showPause();
    void follow();
  }
  draw();
}

const showPause = () =>
  headerButton("pause", shown.pause ? "play" : "pause", shown.pause ? "Resume" : "Pause", () => toggle("pause"));

showPause();
headerButton("masks", "eye", "Masks", () => toggle("masks"));
headerButton("zones", "polygon", "Zones", () => toggle("zones"));
headerButton("draw", "polygon", "Draw", toggleDrawing);
letThemeChange();
const setOpacity = (/** @type {KeyboardEvent} */ event) => {
  shown.opacity = (Number(event.key) || 10) / 10;
  overlay = null;
  draw();
};
/** @type {import("./controls.js").Keys} */
const KEYS = {
  " ": () => playKey(() => toggle("pause")),
  h: () => toggle("masks"),
  n: toggleDrawing,
  Escape: () => drawn.active && toggleDrawing(),
  Backspace: () => drawn.active && drawn.removePoint(),
  z: () => about.zones.length > 0 && toggle("zones"),
  ...Object.fromEntries([..."0123456789"].map((digit) => [digit, setOpacity])),
};
listenKeys(() => KEYS);
new ResizeObserver(draw).observe(canvas);
