// Events of cameras with their images and clips, and how many there were.

import { dayOf, startsOf, tickOf, timeOf } from "./calendar.js";
import { dialog, element, make, notice, within, span } from "./dom.js";
import { eventText, subjectOf } from "./happenings.js";
import { get, send } from "./http.js";

/**
 * @typedef {"kept" | "reviewed"} Mark
 * @typedef {{begin: number, events: Record<string, number>}} Count
 * @typedef {import("./happenings.js").Happening & {camera: string, part: string, moment: number, at: string,
 *   snapshot: string, clip: string, clip_state: "" | "complete" | "pending" | "lost" | "deleted", reviewed: boolean,
 *   kept: boolean}} Event
 * @typedef {{events: Event[], next: string | null, problems: string[],
 *   choices: {zones?: string[], labels?: string[]}}} Answer what the filters may be is in the first answer
 */

const PAGE = 60; // events that are asked for at once
const KINDS = ["enter", "leave", "zone-enter", "zone-leave", "loiter", "cross", "offline", "online", "end"];
const DELETED = "deleted";
/** bars of a chart @type {Record<string, number>} */
const BARS = { hour: 24, day: 14 };

/** what shows the marks of an event on its card @type {WeakMap<Element, (event: Event) => void>} */
const cardFlags = new WeakMap();

const keyOf = (/** @type {Event} */ event) =>
  [event.camera, event.part, event.snapshot || `${event.moment} ${event.event} ${event.object}`].join("/");
const address = (/** @type {Event} */ event, /** @type {string} */ file) =>
  `files/${event.camera}/${event.part ? `${event.part}/` : ""}${file}`;

/**
 * Set one mark of an event; gives all marks that it has then, also those of others.
 * @param {Event} event @param {Mark} mark @param {boolean} value @returns {Promise<Pick<Event, Mark>>}
 */
async function setMark({ camera, part, snapshot, clip }, mark, value) {
  const response = await send(`marks/${camera}`, { part, snapshot, clip, mark, value });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

/** An event with its image; a press plays its clip. @param {Event} event @param {() => Event[]} others */
function card(event, others) {
  const flags = make("span", { className: "flags" });
  const shot = make("span", { className: "shot" }, [flags]);
  const there = event.snapshot && event.snapshot !== DELETED;
  if (there)
    shot.prepend(
      make("img", {
        src: address(event, event.snapshot),
        alt: "",
        loading: "lazy",
        onerror: (/** @type {{target: HTMLElement}} */ { target }) =>
          target.replaceWith(make("span", { className: "gone", textContent: "no image" })),
      }),
    );
  else shot.append(make("span", { className: "gone", textContent: event.snapshot ? "image deleted" : "no image" }));
  const words = make("span", { className: "words" }, [
    make("b", { textContent: `${subjectOf(event)} ${eventText(event)}` }),
    span(`${event.camera}, ${timeOf(event.moment)}`),
  ]);
  const node = make(
    "button",
    { type: "button", className: "card", "data-key": keyOf(event), onclick: () => play(event, others) },
    [shot, words],
  );
  const flag = (/** @type {Event} */ marked) => {
    [event.kept, event.reviewed] = [marked.kept, marked.reviewed];
    flags.replaceChildren(
      .../** @type {Mark[]} */ (["kept", "reviewed"]).filter((mark) => event[mark]).map((mark) => span(mark)),
    );
  };
  cardFlags.set(node, flag);
  flag(event);
  return node;
}

/** Show the clip of an event, and let a person mark it. @param {Event} event @param {() => Event[]} others */
function play(event, others) {
  const place = () => others().findIndex((other) => keyOf(other) === keyOf(event));
  const goTo = (/** @type {number} */ by) => {
    const next = others()[place() + by];
    if (next) play(next, others);
  };
  const has = (/** @type {string} */ file) => file && file !== DELETED;
  const lost = event.clip_state === "lost";
  const still = () => make("img", { src: address(event, event.snapshot), alt: "" });
  /** @type {HTMLElement} */
  let film = make("p", { className: "quiet", textContent: "Its image and clip are deleted." });
  if (has(event.snapshot)) film = still();
  if (has(event.clip) && !lost) {
    const clip = make("video", {
      src: address(event, event.clip),
      controls: true,
      autoplay: true,
      muted: true,
      loop: true,
      poster: has(event.snapshot) ? address(event, event.snapshot) : "",
    });
    // A clip that is shared begins three seconds before its first event: it is shown from as long before this one.
    const begins = event.clip?.replace(".mp4", ".jpg");
    const first = others().find(
      (other) => other.camera === event.camera && other.part === event.part && other.snapshot === begins,
    );
    clip.onloadedmetadata = () => {
      const later = first ? event.moment - first.moment : 0;
      if (later > 0) clip.currentTime = Math.min(later, Math.max(0, clip.duration - 1));
    };
    film = clip;
  }
  const says = make("p", {
    className: "quiet",
    textContent: `${dayOf(event.moment)}, ${timeOf(event.moment)}, ${event.camera}${lost ? "; its clip is lost" : ""}`,
  });
  film.onerror = () => {
    says.textContent += has(event.snapshot) ? "; the clip is not complete yet" : "";
    if (has(event.snapshot)) film.replaceWith(still());
  };
  /** @type {Map<Mark, HTMLInputElement>} */
  const inputs = new Map();
  const box = (/** @type {Mark} */ mark, /** @type {string} */ text) => {
    const input = make("input", {
      type: "checkbox",
      checked: event[mark],
      disabled: !has(event.snapshot) || "look" in document.body.dataset,
      onchange: () => void save(mark, input.checked),
    });
    inputs.set(mark, input);
    return make("label", {}, [input, span(text)]);
  };
  const save = async (/** @type {Mark} */ mark, /** @type {boolean} */ value) => {
    const before = saving;
    const turn = (async () => {
      await before; // answers come in the order of the changes
      Object.assign(event, await setMark(event, mark, value));
    })().catch((error) => notice(error.message, "bad"));
    saving = turn;
    await turn;
    marks += 1;
    if (saving !== turn) return; // the last one says how it is
    for (const [name, input] of inputs) input.checked = event[name];
    for (const node of document.querySelectorAll(`[data-key="${CSS.escape(keyOf(event))}"]`))
      cardFlags.get(node)?.(event);
  };
  const step = (/** @type {number} */ by, /** @type {string} */ text) =>
    make("button", { textContent: text, disabled: !others()[place() + by], onclick: () => goTo(by) });
  const shown = dialog(`${subjectOf(event)} ${eventText(event)}`, [
    film,
    says,
    make("div", { className: "row" }, [
      box("reviewed", "Reviewed"),
      box("kept", "Keep"),
      span("", "grow"),
      step(-1, "Later"),
      step(1, "Earlier"),
    ]),
  ]);
  shown.classList.add("player");
  shown.onkeydown = ({ key, target }) => {
    if (target instanceof HTMLVideoElement) return;
    if (key === "ArrowLeft") goTo(-1);
    else if (key === "ArrowRight") goTo(1);
  };
}

/** @type {Event[]} */
let shown = [];
let marks = 0; // that were made here
let answered = ""; // the question whose events are shown
let following = /** @type {string | null} */ (null); // where earlier ones begin
let problem = ""; // that was said
/** @type {Promise<unknown>} */
let saving = Promise.resolve(); // of the last mark that was set here

/** The question that the filters mean. */
function question() {
  const wanted = new URLSearchParams({ limit: String(PAGE) });
  for (const name of /** @type {const} */ (["camera", "event", "zone", "label"])) {
    const { value } = element(`by-${name}`);
    if (value) wanted.set(name, value);
  }
  if (element("by-unreviewed").checked) wanted.set("unreviewed", "1");
  const until = element("by-before").value;
  if (until) wanted.set("before", String(new Date(until).getTime() / 1000));
  return wanted;
}

/** Say what the server could not read, once. */
function sayProblems(/** @type {string[]} */ problems) {
  if (problems.length && problems[0] !== problem) notice(problems[0], "bad");
  problem = problems[0] ?? "";
}

/**
 * Put the events of an answer below those that are shown.
 * @param {Answer} answer
 */
function showEvents({ events, next, problems, choices }) {
  const list = element("timeline-list");
  for (const event of events) {
    const day = dayOf(event.moment);
    const last = within(list, ":scope > :last-child");
    const isNew = last?.dataset.day !== day;
    const cards = isNew || !last?.lastElementChild ? make("div", { className: "cards" }) : last.lastElementChild;
    if (isNew) list.append(make("section", { "data-day": day }, [make("h2", { textContent: day }), cards]));
    cards.append(card(event, () => shown));
  }
  shown = [...shown, ...events];
  element("events-empty").hidden = shown.length > 0;
  following = next;
  element("events-more").hidden = next === null;
  sayProblems(problems);
  offer("by-zone", choices.zones ?? []);
  offer("by-label", choices.labels ?? []);
}

/** Offer further values of a filter. */
function offer(/** @type {import("./parts.js").SelectId} */ id, /** @type {string[]} */ values) {
  const known = new Set([...element(id).options].map((option) => option.value));
  for (const value of new Set(values))
    if (value && !known.has(value)) element(id).append(make("option", { value, textContent: value }));
}

/**
 * Ask for events; where those that were looked at have none that is wanted, go on with earlier ones.
 * @param {URLSearchParams} wanted @returns {Promise<Answer>}
 */
async function askEvents(wanted) {
  const answer = await get(`events?${wanted}`);
  if (answer.events.length || answer.next === null) return answer;
  wanted.set("cursor", answer.next);
  return { ...(await askEvents(wanted)), choices: answer.choices };
}

/** Ask anew for the newest events that the filters want. */
export async function loadEvents() {
  const wanted = String(question());
  const list = element("timeline-list");
  list.inert = wanted !== answered;
  let before, answer;
  do {
    before = marks;
    answer = await askEvents(question());
    if (wanted !== String(question())) return; // others are wanted now
  } while (before !== marks);
  shown = [];
  answered = wanted;
  list.inert = false;
  list.replaceChildren();
  element("events-new").textContent = "";
  showEvents(answer);
}

async function loadEarlier() {
  const [above, wanted] = [shown, question()];
  wanted.set("cursor", String(following));
  const answer = await askEvents(wanted);
  if (above === shown) showEvents(answer);
}

/** Say that there are newer events; who reads older ones is not disturbed. */
export function hearOfEvents() {
  if (element("by-before").value) return;
  if (!element("dialog").open && element("events").scrollTop < 40) void loadEvents();
  else element("events-new").textContent = "There are new events.";
}

/** Show the last events of a camera. */
export async function showLast(/** @type {string} */ camera, /** @type {HTMLElement} */ list) {
  list.dataset.camera = camera;
  const { events } = await get(`events?${new URLSearchParams({ camera, limit: "12" })}`);
  if (list.dataset.camera !== camera) return; // another one is shown now
  list.replaceChildren(...events.map((/** @type {Event} */ event) => make("li", {}, [card(event, () => events)])));
}

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
  sayProblems(problems);
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
        enter: "Objects that came",
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
        make("h2", {}, [title, span(`${total.toLocaleString("en")}, at most ${most.toLocaleString("en")}`)]),
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

/** Offer the cameras, and hear of the filters. @param {string[]} cameras */
export function beginHistory(cameras) {
  offer("by-camera", cameras);
  offer("counts-camera", cameras);
  offer("by-event", KINDS);
  element("filters").onsubmit = (/** @type {SubmitEvent} */ event) => event.preventDefault();
  element("filters").onchange = () => void loadEvents().catch((error) => notice(error.message, "bad"));
  element("events-more").onclick = () => void loadEarlier().catch((error) => notice(error.message, "bad"));
  for (const id of /** @type {const} */ (["counts-camera", "counts-by"]))
    element(id).onchange = () => void loadCounts().catch((error) => notice(error.message, "bad"));
}
