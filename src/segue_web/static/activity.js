// Events: visits by activity, which are filtered, selected and marked.

import { dayOf, timeOf } from "./calendar.js";
import { looks } from "./cameras.js";
import { card, showMarks } from "./cards.js";
import { all, buttons, element, isTyping, make, offer, renew, span, tell, within } from "./dom.js";
import { isOpen, play } from "./player.js";
import { lastVisits, MARKS, reviewed, visitAt } from "./review_list.js";
import { activitiesOf, countText } from "./visits.js";

/**
 * @typedef {import("./visits.js").Visit} Visit
 * @typedef {import("./visits.js").Mark} Mark
 */

const KINDS = ["enter", "leave", "zone-enter", "zone-leave", "loiter", "cross", "offline", "online", "end"];
const CHOICES = /** @type {const} */ (["camera", "event", "zone", "label"]);
const TIMES = /** @type {const} */ (["after", "before"]);

const filters = element("filters");
/** the last one that was selected by itself, from which Shift selects a range */
let anchor = "";
/** what was made of the visits that are shown @type {Visit[]} */
let drawn = [];

/** The question that the filters mean. */
function question() {
  const asked = new URLSearchParams();
  for (const name of CHOICES) if (element(`by-${name}`).value) asked.set(name, element(`by-${name}`).value);
  for (const name of TIMES) {
    const { value } = element(`by-${name}`);
    if (value) asked.set(name, String(new Date(value).getTime() / 1000));
  }
  if (element("by-unreviewed").checked) asked.set("unreviewed", "1");
  if (element("by-search").value.trim()) asked.set("search", element("by-search").value.trim());
  return asked;
}

/** Let the filters say what an address asks for. */
function showQuestion(/** @type {URLSearchParams} */ asked) {
  for (const name of CHOICES) {
    const value = asked.get(name) ?? "";
    if (value) offer(`by-${name}`, [value]);
    element(`by-${name}`).value = value;
  }
  for (const name of TIMES) {
    const moment = Number(asked.get(name) ?? NaN);
    element(`by-${name}`).value = Number.isFinite(moment) ? localText(moment) : "";
  }
  element("by-unreviewed").checked = asked.has("unreviewed");
  element("by-search").value = asked.get("search") ?? "";
}

/** A time as the value of a form field, in the browser's time zone. */
function localText(/** @type {number} */ moment) {
  const date = new Date(1000 * moment);
  return new Date(date.getTime() - 60000 * date.getTimezoneOffset()).toISOString().slice(0, 16);
}

const addressOfList = () => `#events${String(reviewed.asked) && `?${reviewed.asked}`}`;

/** Show the visits that an address asks for. */
export async function loadActivity(asked = reviewed.asked) {
  showQuestion(asked);
  await reviewed.load(asked).catch(tell);
}

/** Show the visit of a link, above the others. */
export async function openLink(/** @type {string} */ place) {
  const [visit] = await Promise.all([visitAt(place).catch(tell), loadActivity()]);
  if (visit) open(visit);
  else tell("This visit no longer exists.");
}

/** Open a visit; the page has its address while it is open. @param {Visit} visit */
function open(visit) {
  const listed = reviewed.visits.find(({ place }) => place === visit.place) ?? visit;
  play(listed, reviewed.visits, () => history.replaceState(null, "", addressOfList()));
}

/** Select a visit, or with Shift all from the last one to it. @param {Visit} visit @param {Event} event */
function pick(visit, event) {
  const places = reviewed.visits.map(({ place }) => place);
  const [from, to] = [places.indexOf(anchor), places.indexOf(visit.place)].sort((a, b) => a - b);
  if (event instanceof MouseEvent && event.shiftKey && from >= 0)
    reviewed.select([...reviewed.selected, ...places.slice(from, to + 1)]);
  else {
    reviewed.toggle(visit.place);
    anchor = visit.place;
  }
}

/** Mark visits; all that have the mark lose it. @param {Visit[]} visits @param {Mark} mark */
function toggleMark(visits, mark) {
  if (looks || !visits.length) return;
  const value = visits.some((visit) => !visit[mark]);
  void reviewed.mark(visits, mark, value).catch(tell);
}

/** What is done with those that are selected, or with the one that has the focus. @returns {Visit[]} */
function meant() {
  if (reviewed.selected.size) return reviewed.chosen;
  const place = document.activeElement?.closest(".card")?.getAttribute("data-place");
  return reviewed.visits.filter((visit) => visit.place === place);
}

/** Cards of the visits, by days and activities. */
function showList() {
  const list = element("timeline-list");
  list.inert = !reviewed.isCurrent;
  if (drawn === reviewed.visits) return;
  drawn = reviewed.visits;
  renew(list, () => showCards(list));
  element("events-empty").hidden = drawn.length > 0;
  element("events-more").hidden = reviewed.following === null;
  element("events-new").textContent = "";
  offer("by-zone", reviewed.choices.zones ?? []);
  offer("by-label", reviewed.choices.labels ?? []);
  reviewed.problems.slice(0, 1).forEach(tell);
}

function showCards(/** @type {HTMLElement} */ list) {
  const place = document.activeElement?.closest(".card")?.getAttribute("data-place");
  /** @type {Map<string, HTMLElement>} */
  const days = new Map();
  for (const { camera, start, visits } of activitiesOf(drawn)) {
    const day = dayOf(start);
    const groups = days.get(day) ?? make("div", { className: "groups" });
    days.set(day, groups);
    const last = visits[0];
    const until = timeOf(last.end ?? last.moment);
    const head = make("div", { className: "group-head" }, [
      make("h3", { textContent: camera }),
      span(visits.length > 1 ? `${timeOf(start)} – ${until}` : "", "quiet"),
      span(countText(visits), "quiet grow"),
      ...(looks
        ? []
        : [
            make("button", {
              textContent: "Reviewed",
              title: "Mark this activity as reviewed",
              onclick: () => toggleMark(visits, "reviewed"),
            }),
          ]),
    ]);
    const cards = make(
      "ul",
      { className: "cards" },
      visits.map((visit) => card(visit, open, looks ? null : pick)),
    );
    groups.append(make("section", { className: "activity" }, [head, cards]));
  }
  list.replaceChildren(
    ...[...days].map(([day, groups]) =>
      make("section", { "data-day": day }, [make("h2", { textContent: day }), groups]),
    ),
  );
  reviewed.changed(MARKS); // also what is selected
  if (place) within(list, `[data-place="${CSS.escape(place)}"] .open`)?.focus();
}

/** Marks, and what is selected. */
function showSelection() {
  for (const node of all("#timeline-list .card, #camera-last .card")) {
    const visit = [...reviewed.visits, ...last].find((one) => one.place === node.dataset.place);
    if (visit) showMarks(node, visit, reviewed.selected.has(visit.place));
  }
  const { size } = reviewed.selected;
  const remaining = reviewed.visits.filter((visit) => !visit.reviewed).length;
  element("selection").hidden = looks || !reviewed.visits.length;
  element("selected").textContent = size
    ? `${size} selected`
    : `${reviewed.visits.length} shown, ${remaining} not reviewed`;
  for (const id of /** @type {const} */ (["mark-reviewed", "mark-kept", "select-none"])) element(id).hidden = !size;
  element("mark-all").hidden = size > 0;
  element("mark-all").disabled = !remaining;
}

/** Whether newer events would disturb: a person reads older ones or selects visits. */
const isBusy = () => isOpen() || reviewed.selected.size > 0 || element("events").scrollTop >= 40;

/** Show newer events, or say that there are some where they would disturb. */
export async function hearOfEvents() {
  if (element("by-before").value) return;
  const isShown = !isBusy() && (await reviewed.load(undefined, () => !isBusy()));
  if (!isShown && isBusy()) element("events-new").textContent = "There are new events.";
}

/** the last visits of the camera that is shown @type {Visit[]} */
let last = [];

/** Show the last visits of a camera. */
export async function showLast(/** @type {string} */ camera, /** @type {HTMLElement} */ list) {
  list.dataset.camera = camera;
  const visits = await lastVisits(camera);
  if (list.dataset.camera !== camera) return; // another one is shown now
  last = visits;
  const back = location.hash;
  const openLast = (/** @type {Visit} */ visit) => play(visit, visits, () => history.replaceState(null, "", back));
  renew(list, () => list.replaceChildren(...visits.map((visit) => card(visit, openLast))));
}

/** Move the focus from card to card: by one, or by a row. */
function step(/** @type {string} */ key) {
  const cards = buttons("#timeline-list .open");
  const here = cards.findIndex((node) => node === document.activeElement);
  if (here < 0) {
    cards[0]?.focus();
    return;
  }
  const { left, top } = cards[here].getBoundingClientRect();
  const beside = { ArrowLeft: here - 1, ArrowRight: here + 1 }[key];
  if (beside !== undefined) {
    cards[beside]?.focus();
    return;
  }
  // In the next row the card whose side is nearest.
  const rows = cards
    .map((node) => ({ node, at: node.getBoundingClientRect() }))
    .filter(({ at }) => (key === "ArrowDown" ? at.top > top + 1 : at.top < top - 1));
  const nearest = (key === "ArrowDown" ? Math.min : Math.max)(...rows.map(({ at }) => at.top));
  rows
    .filter(({ at }) => Math.abs(at.top - nearest) < 2)
    .sort((a, b) => Math.abs(a.at.left - left) - Math.abs(b.at.left - left))[0]
    ?.node.focus();
}

/** Whether a key does something with the visits. */
export const LIST_KEYS = {
  ...Object.fromEntries(["Up", "Down", "Left", "Right"].map((way) => [`Arrow${way}`, () => step(`Arrow${way}`)])),
  x: () => focused().forEach(({ place }) => reviewed.toggle(place)),
  r: () => toggleMark(meant(), "reviewed"),
  k: () => toggleMark(meant(), "kept"),
  R: () => element("mark-all").click(),
  a: () => reviewed.select(reviewed.visits.map(({ place }) => place)),
  Escape: () => reviewed.selected.size > 0 && reviewed.select([]),
  "/": () => element("by-search").focus(),
};

/** The visit whose card has the focus. */
function focused() {
  const place = document.activeElement?.closest(".card")?.getAttribute("data-place");
  return looks ? [] : reviewed.visits.filter((visit) => visit.place === place);
}

/** Hear of the filters. */
export function beginActivity() {
  offer("by-event", KINDS);
  const follow = () => {
    reviewed.load(question()).catch(tell);
    history.replaceState(null, "", addressOfList());
  };
  filters.onsubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    follow();
  };
  filters.onchange = follow;
  element("by-search").onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && isTyping()) element("by-search").blur();
  };
  element("events-more").onclick = () => void reviewed.loadEarlier().catch(tell);
  element("mark-reviewed").onclick = () => toggleMark(reviewed.chosen, "reviewed");
  element("mark-kept").onclick = () => toggleMark(reviewed.chosen, "kept");
  element("select-none").onclick = () => reviewed.select([]);
  element("mark-all").onclick = () => {
    const remaining = reviewed.visits.filter((visit) => !visit.reviewed);
    if (remaining.length) void reviewed.mark(remaining, "reviewed", true).catch(tell);
  };
}

reviewed.listen(showList);
reviewed.listen(showSelection, MARKS);
