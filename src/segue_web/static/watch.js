// The page of cameras: a wall of them, one with its zones, events, counts and health.

import { element, fill, iconButton, make, otherTheme, span } from "./dom.js";
import { beginHistory, get, hearOfEvents, loadCounts, loadEvents, post, showLast } from "./history.js";
import { icon } from "./icons.js";
import { drawing } from "./paint.js";
import {
  cornersOf,
  drawHeights,
  drawIgnored,
  drawZones,
  freeName,
  heightText,
  replacedHeight,
  ZoneEditor,
  zoneText,
} from "./zones.js";

/**
 * @typedef {import("./zones.js").Zone} Zone
 * @typedef {{status: "starting" | "online" | "lost", since: string, fps: number, frames: number, delay: number,
 *   dropped: number,
 *   damaged: number, reconnects: number, restarts: number, events: number, undelivered: number, error: string,
 *   disk_problem: string,
 *   zones: Zone[], ignored: Zone[], heights: [number, number][],
 *   size: [number, number] | null, disk_used: number, disk_per_day: number, disk_days_left: number | null}} State
 */

const EVERY = 1000; // milliseconds between two looks
const LEAST_TILE = 200; // pixels of the width of a tile; further ones are reached by scrolling
const NARROW = 3; // frames a second above which a rate needs no decimals
const looks = "look" in document.body.dataset; // and may change nothing
const canvas = element("canvas");
/** @type {Record<string, State>} */
let states = {};
/** newest images by camera @type {Map<string, ImageBitmap>} */
const images = new Map();
/** @type {Map<string, any>} */
const tiles = new Map();
/** what is shown: a view, and a camera in it */
let [view, chosen] = ["wall", ""];
let zonesShown = true;
let process = { processor: 0, wall: 0, memory: /** @type {number | null} */ (null) };
let placed = { left: 0, top: 0, width: 1, height: 1 }; // the image on the canvas
/** @typedef {"zones" | "ignored" | "heights"} Kind */
/** what a drawing will be @type {Kind} */
let drawnKind = "zones";
/** a zone that is drawn or changed */
const drawn = new ZoneEditor(canvas, () => placed, showDrawing);

// Words

function sinceText(/** @type {string} */ since) {
  const seconds = Math.max(0, (Date.now() - new Date(since).getTime()) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

const bytes = (/** @type {number} */ count) =>
  count >= 1e9 ? `${(count / 1e9).toFixed(1)} GB` : `${Math.round(count / 1e6)} MB`;
const rate = (/** @type {State} */ state) => `${state.fps.toFixed(state.fps < NARROW ? 1 : 0)} frames/s`;
const disk = (/** @type {State} */ state) => (state.disk_problem.includes("full") ? "disk full" : "disk fails");
const word = (/** @type {State} */ state) =>
  (state.status === "online" ? "online" : `${state.status} for ${sinceText(state.since)}`) +
  (state.disk_problem ? `, ${disk(state)}` : "");

function aboutText(/** @type {State} */ state) {
  const events = `${state.events.toLocaleString("en")} event${state.events === 1 ? "" : "s"}`;
  return state.status === "online" ? `${rate(state)}, ${events}` : state.error || events;
}

// Images

/** Draw the newest image of a camera with its zones, as large as there is room. */
function paint(/** @type {HTMLCanvasElement} */ target, /** @type {string} */ name, /** @type {boolean} */ withZones) {
  const box = target.getBoundingClientRect();
  const [width, height] = [
    Math.max(1, Math.round(box.width * devicePixelRatio)),
    Math.max(1, Math.round(box.height * devicePixelRatio)),
  ];
  if (target.width !== width || target.height !== height) [target.width, target.height] = [width, height];
  const context = drawing(target);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const image = images.get(name);
  /** @type {[number, number] | null | undefined} */
  const size = image ? [image.height, image.width] : states[name]?.size;
  if (!size) return { left: 0, top: 0, width: 1, height: 1 };
  const scale = Math.min(width / size[1], height / size[0]);
  const place = {
    left: (width - size[1] * scale) / 2,
    top: (height - size[0] * scale) / 2,
    width: size[1] * scale,
    height: size[0] * scale,
  };
  context.setTransform(1, 0, 0, 1, place.left, place.top);
  if (image) context.drawImage(image, 0, 0, place.width, place.height);
  /** @type {[number, number]} */
  const shown = [place.height, place.width];
  const others = (/** @type {Kind} */ kind) => (/** @type {Zone} */ zone) =>
    !(drawn.active && name === chosen && view === "camera" && kind === drawnKind && zone.name === drawn.was);
  if (withZones) {
    const full = states[name].size ?? size;
    drawIgnored(context, states[name].ignored.filter(others("ignored")), shown, full, devicePixelRatio);
    drawZones(context, states[name].zones.filter(others("zones")), shown, full, devicePixelRatio);
    if (view === "camera") drawHeights(context, states[name].heights, shown, full, devicePixelRatio);
  }
  return place;
}

function draw() {
  if (view === "wall") for (const [name, tile] of tiles) paint(tile.canvas, name, zonesShown);
  if (view !== "camera" || !states[chosen]) return;
  placed = paint(canvas, chosen, zonesShown);
  drawn.draw(drawing(canvas), placed.width, placed.height, devicePixelRatio);
}

/** Load the newest image of a camera, or the one after a frame; gives its number. */
async function loadImage(/** @type {string} */ name, after = "") {
  const response = await fetch(`image/${name}.jpg${after && `?after=${after}`}`);
  if (!response.ok) return "";
  const image = await createImageBitmap(await response.blob());
  images.get(name)?.close(); // nothing is drawn between these two
  images.set(name, image);
  return response.headers.get("Frame") ?? "";
}

/** the camera whose frames are shown as they come @type {{name: string} | null} */
let following = null;

/** Show each frame of the chosen camera, at its own rate. */
async function follow() {
  if (view !== "camera" || following?.name === chosen) return;
  const mine = { name: chosen };
  following = mine;
  const goesOn = () => following === mine && view === "camera" && chosen === mine.name && !document.hidden;
  let number = "";
  while (goesOn()) {
    const next = await loadImage(mine.name, number).catch(() => "");
    if (!next || next === number) await new Promise((resolve) => setTimeout(resolve, EVERY));
    number = next || number;
    if (goesOn()) draw();
  }
  if (following === mine) following = null;
}

// The wall

/** Columns of the wall that make its tiles largest. */
function layOut() {
  const { clientWidth, clientHeight } = element("wall");
  const count = tiles.size;
  const ratios = Object.values(states)
    .flatMap((state) => (state.size ? [state.size[1] / state.size[0]] : []))
    .sort((a, b) => a - b);
  const ratio = ratios[ratios.length >> 1] ?? 16 / 9;
  let best = { width: 0, columns: 1 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const width = Math.min(clientWidth / columns, (clientHeight / rows) * ratio);
    if (width > best.width) best = { width, columns };
  }
  const columns = best.width < LEAST_TILE ? Math.max(1, Math.floor(clientWidth / LEAST_TILE)) : best.columns;
  const rows = Math.ceil(count / columns);
  const height = Math.max((clientHeight - 2 - 2 * rows) / rows, Math.min(LEAST_TILE, clientWidth / columns) / ratio);
  element("wall").style.setProperty("--columns", String(columns));
  element("wall").style.setProperty("--tile-height", `${Math.floor(height)}px`);
  draw();
}

function showWall() {
  for (const [name, state] of Object.entries(states)) {
    let tile = tiles.get(name);
    if (!tile) {
      const parts = {
        canvas: make("canvas"),
        status: make("span", { className: "status" }),
        about: make("span", { className: "tile-about" }),
      };
      const node = make(
        "button",
        {
          className: "tile",
          onclick: () => {
            location.hash = `#camera/${name}`;
          },
        },
        [parts.canvas, make("span", { className: "tile-name", textContent: name }), parts.status, parts.about],
      );
      tile = { ...parts, node };
      tiles.set(name, tile);
      element("wall").append(node);
    }
    tile.node.className = `tile ${state.status}`;
    tile.node.setAttribute("aria-label", `${name}: ${word(state)}`);
    tile.status.className = `status ${state.status}`;
    tile.status.textContent = word(state);
    tile.about.textContent = aboutText(state);
  }
  for (const [name, tile] of tiles)
    if (!states[name]) {
      tile.node.remove();
      tiles.delete(name);
    }
}

// A camera

const percent = (/** @type {number} */ share) => Math.round(share * 1000) / 10;

let saving = Promise.resolve();

/**
 * Add, replace or remove one thing that is drawn on a camera, one after the other. The server refuses to change what
 * somebody else has changed since it was shown.
 * @param {Kind} kind @param {string | null} previous as it was shown, null for a new one
 * @param {string | null} now null removes it @param {() => void} done
 */
function saveDrawn(kind, previous, now, done = () => {}) {
  const name = chosen;
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

const HINTS = {
  zones: "Click the corners in the image; two points are a line.",
  ignored: "Click the corners of a region, such as a tree: what moves there is no event.",
  heights:
    "Click the feet and the head of the smallest person that counts. Two of them, near and far, follow the perspective.",
};

/** @param {Kind} kind @param {Zone | null} zone */
function beginDrawing(kind, zone = null) {
  const size = states[chosen].size;
  if (!size) return;
  chooseKind(kind);
  element("zone-name").value = zone?.name ?? freeName([...states[chosen].zones, ...states[chosen].ignored]);
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
  draw();
}

function showCamera() {
  const state = states[chosen];
  if (!state) return;
  element("camera-name").textContent = chosen;
  element("camera-status").className = `status ${state.status}`;
  element("camera-status").textContent = word(state);
  const more = [
    `${state.delay.toFixed(1)} s late`,
    `${state.frames.toLocaleString("en")} frames`,
    ...(state.dropped ? [`${state.dropped.toLocaleString("en")} dropped`] : []),
    ...(state.undelivered ? [`${state.undelivered} messages wait`] : []),
  ];
  element("camera-about").textContent = [aboutText(state), ...more].join(", ");
  element("camera-error").textContent = [state.status === "online" ? state.error : "", state.disk_problem]
    .filter(Boolean)
    .join("; ");
  element("camera-events").href = `#events/${chosen}`;
  element("zone-none").hidden = state.zones.length + state.ignored.length + state.heights.length > 0;
  element("zone-new").disabled = !state.size;
  fill(element("zone-list"), [chosen, state.zones, state.ignored, state.heights], () => [
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
    const [height] = states[chosen].size ?? [1];
    const rows = points.map(([, y]) => y * height).sort((a, b) => a - b);
    /** @type {[number, number]} */
    const one = [Math.max(1, Math.round(rows[1])), Math.max(1, Math.round(rows[1] - rows[0]))];
    const replaced = replacedHeight(states[chosen].heights, one[0]);
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

// Health

/** name, text and value of each column @type {[string, (state: State) => string][]} */
const COLUMNS = [
  ["frames/s", (state) => state.fps.toFixed(1)],
  ["late", (state) => `${state.delay.toFixed(1)} s`],
  ["frames", (state) => state.frames.toLocaleString("en")],
  ["dropped", (state) => state.dropped.toLocaleString("en")],
  ["damaged", (state) => state.damaged.toLocaleString("en")],
  ["lost and back", (state) => String(state.reconnects)],
  ["failures", (state) => String(state.restarts)],
  ["events", (state) => state.events.toLocaleString("en")],
  ["messages that wait", (state) => state.undelivered.toLocaleString("en")],
  ["images and clips", (state) => bytes(state.disk_used)],
  ["a day", (state) => bytes(state.disk_per_day)],
];

async function showHealth() {
  fill(element("health-head"), COLUMNS.length, () => [
    make(
      "tr",
      {},
      ["camera", "", ...COLUMNS.map(([name]) => name)].map((name) => make("th", { textContent: name, scope: "col" })),
    ),
  ]);
  element("health-rows").replaceChildren(
    ...Object.entries(states).map(([name, state]) =>
      make("tr", {}, [
        make("th", { textContent: name, scope: "row" }),
        make("td", {}, [
          make("span", {
            className: `status ${state.status}`,
            textContent: word(state),
            title: state.disk_problem || state.error,
          }),
        ]),
        ...COLUMNS.map(([, of]) => make("td", { textContent: of(state) })),
      ]),
    ),
  );
  const now = await get("process");
  const used = (now.processor - process.processor) / (now.wall - process.wall);
  const left = Object.values(states)[0]?.disk_days_left;
  const words = process.wall ? [`${Math.round(100 * used)} % of a processor core`] : [];
  if (now.memory !== null) words.push(`${bytes(now.memory)} of memory`);
  if (left !== null && left !== undefined) words.push(`the disk is full in ${left.toLocaleString("en")} days`);
  else if (Object.values(states).some((state) => state.disk_used)) words.push("images and clips stay within --keep");
  process = now;
  element("process").textContent = words.join("; ");
}

// What is shown

function navigate() {
  const [name, camera] = location.hash.slice(1).split("/").map(decodeURIComponent);
  view = ["camera", "events", "counts", "health"].includes(name) ? name : "wall";
  if (view === "camera" && chosen !== camera) drawn.end();
  chosen = camera ?? "";
  for (const id of /** @type {const} */ (["wall", "camera", "events", "counts", "health"]))
    element(id).hidden = id !== view;
  for (const link of document.querySelectorAll(".views a")) {
    if (link.getAttribute("href") === `#${view === "camera" ? "wall" : view}`)
      link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "events") {
    element("by-camera").value = chosen;
    void loadEvents();
  }
  if (view === "counts") void loadCounts();
  if (view === "camera") {
    element("camera-last").replaceChildren();
    void showLast(chosen, element("camera-last"));
    void follow();
  }
  process = { processor: 0, wall: 0, memory: null };
  show();
}

function show() {
  showWall();
  if (view === "wall") layOut();
  if (view === "camera") showCamera();
  if (view === "health") void showHealth();
  draw();
}

let [asked, answered] = [0, 0]; // looks, and the newest one with an answer

/** Ask how the cameras are, and for their newest images where these are shown. */
async function look() {
  const number = ++asked;
  const response = await fetch("states");
  const answer = await response.json();
  if (number < answered) return; // a later one was faster
  answered = number;
  const before = states;
  states = answer;
  element("offline").hidden = true;
  void follow();
  const shown = view === "wall" ? Object.keys(states) : [];
  await Promise.all(
    shown
      .filter((name) => states[name] && states[name].frames && states[name].frames !== before[name]?.frames)
      .map((name) => loadImage(name)),
  );
  const news = Object.keys(states).filter((name) => before[name] && states[name].events !== before[name].events);
  if (view === "events" && news.length) hearOfEvents();
  if (view === "camera" && news.includes(chosen)) void showLast(chosen, element("camera-last"));
  show();
}

async function goOn() {
  // A page that nobody sees asks for nothing.
  if (!document.hidden)
    await look().catch(() => {
      element("offline").hidden = false;
    });
  setTimeout(goOn, EVERY);
}

element("zones").append(icon("polygon"), "Zones");
element("zones").onclick = () => {
  zonesShown = !zonesShown;
  element("zones").setAttribute("aria-pressed", String(zonesShown));
  draw();
};
element("theme").append(icon("theme"));
const { dataset } = document.documentElement;
element("theme").onclick = () => {
  dataset.theme = otherTheme(dataset.theme);
};
addEventListener("keydown", (event) => {
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    element("dialog").open ||
    /INPUT|SELECT/.test(document.activeElement?.tagName ?? "")
  )
    return;
  if (event.key === "z") element("zones").click();
  else if (event.key === "Escape" && drawn.active) drawn.end();
  else if (event.key === "Escape" && view === "camera") location.hash = "#wall";
  else if (event.key === "Backspace" && drawn.active) element("zone-back").click();
  else return;
  event.preventDefault();
});
addEventListener("hashchange", navigate);
new ResizeObserver(() => show()).observe(element("view"));
await look().catch(() => {
  element("offline").hidden = false;
});
beginHistory(Object.keys(states));
navigate();
setTimeout(goOn, EVERY);
