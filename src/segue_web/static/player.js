// A visit in a dialog: its clips, its events one by one, and its marks.

import { dayOf, timeOf } from "./calendar.js";
import { cameras, looks } from "./cameras.js";
import { linkOf } from "./cards.js";
import { playKey, runKey } from "./controls.js";
import { dialog, element, iconButton, make, notice, span, tell, tick } from "./dom.js";
import { showOutlines } from "./outlines.js";
import { MARKS, reviewed } from "./review_list.js";
import {
  addressOf,
  bestView,
  countText,
  DELETED,
  isFile,
  lengthText,
  startIn,
  subjectOfVisit,
  textOf,
} from "./visits.js";

/**
 * @typedef {import("./visits.js").Visit} Visit
 * @typedef {import("./visits.js").VisitEvent} VisitEvent
 * @typedef {import("./visits.js").Mark} Mark
 */

/** seconds of a recording before and after a visit */
const AROUND = 10;
/** Forget the visit that was open. */
let leave = () => {};

/** The image of an event. @param {Visit} visit @param {VisitEvent | undefined} event @returns {HTMLElement} */
function stillOf(visit, event) {
  if (!event) return make("p", { className: "quiet gone", textContent: "Its images were deleted." });
  return make("img", { src: addressOf(visit.camera, event.part, event.snapshot), alt: textOf(visit, event) });
}

/**
 * The clip of an event, from where it happens; its image where there is none, and what is to be said of that.
 * @param {Visit} visit @param {VisitEvent} event @param {Visit[]} others @param {(text: string) => void} say
 */
function filmOf(visit, event, others, say) {
  const image = isFile(event.snapshot) ? event : bestView(visit);
  if (event.clip_state === "lost") say("the clip is lost");
  else if (event.clip_state === "pending") say("the clip is not complete yet");
  else if (event.clip === DELETED) say("the clip was deleted");
  if (event.clip_state !== "complete") return stillOf(visit, image);
  const clip = make("video", {
    src: addressOf(visit.camera, event.part, event.clip),
    controls: true,
    autoplay: true,
    muted: true,
    loop: true,
    poster: image ? addressOf(visit.camera, image.part, image.snapshot) : "",
  });
  const start = startIn([visit, ...others], visit, event);
  const film = make("div", { className: "film" }, [clip]);
  void showOutlines(film, clip, addressOf(visit.camera, event.part, event.clip).replace("files/", "outlines/"));
  clip.onloadedmetadata = () => {
    if (start > 0) clip.currentTime = Math.min(start, Math.max(0, clip.duration - 1));
  };
  clip.onerror = () => {
    say("the clip cannot be played");
    film.replaceWith(stillOf(visit, image));
  };
  return film;
}

/**
 * Open a visit; the others are reached from it.
 * @param {Visit} visit @param {Visit[]} others @param {() => void} onClose
 */
export function play(visit, others, onClose) {
  const place = others.findIndex((other) => other.place === visit.place);
  const goTo = (/** @type {number} */ by) => {
    const next = others[place + by];
    if (place >= 0 && next) play(next, others, onClose);
  };
  const about = make("p", { className: "quiet" });
  const screen = make("div", { className: "screen" });
  const say = (/** @type {string} */ text) => {
    about.textContent += `; ${text}`;
  };
  const show = (/** @type {VisitEvent} */ event) => {
    about.textContent = `${dayOf(visit.moment)}, ${timeOf(event.moment)}, ${visit.camera}`;
    screen.replaceChildren(filmOf(visit, event, others, say));
    for (const node of steps.children) node.classList.toggle("here", node === nodes.get(event));
  };
  /** @type {Map<VisitEvent, HTMLElement>} */
  const nodes = new Map();
  const steps = make("ol", { className: "steps", "aria-label": countText([visit]) });
  for (const event of visit.events) {
    const button = make("button", { type: "button", onclick: () => show(event) }, [
      make("time", { textContent: timeOf(event.moment) }),
      span(textOf(visit, event)),
    ]);
    const node = make("li", {}, [button]);
    nodes.set(event, node);
    steps.append(node);
  }
  const { boxes, labels } = markBoxes(visit);
  const step = (/** @type {number} */ by, /** @type {string} */ text, /** @type {string} */ title) =>
    make("button", { textContent: text, title, disabled: place < 0 || !others[place + by], onclick: () => goTo(by) });
  const copy = iconButton("copy", "Copy the address of this visit", () => {
    void navigator.clipboard.writeText(new URL(linkOf(visit), location.href).href);
    notice("Address copied.");
  });
  const box = dialog(`${subjectOfVisit(visit)}, ${lengthText(visit)}`, [
    screen,
    about,
    steps,
    make("div", { className: "row" }, [
      ...labels,
      span("", "grow"),
      ...recordingOf(visit),
      copy,
      step(-1, "Later", "Later visit (←)"),
      step(1, "Earlier", "Earlier visit (→)"),
    ]),
  ]);
  box.classList.add("player");
  show(visit.events[0]);
  const showBoxes = () => {
    if (reviewed.numSaving) return; // what somebody has ticked is not undone meanwhile
    for (const [mark, input] of boxes) input.checked = visit[mark];
  };
  leave();
  leave = () => reviewed.ignore(showBoxes);
  reviewed.listen(showBoxes, MARKS);
  const { onclose } = box;
  box.onclose = (/** @type {Event} */ event) => {
    leave();
    screen.replaceChildren(); // else a clip goes on
    onclose?.call(box, event);
    onClose();
  };
  box.onkeydown = (event) => {
    if (event.target instanceof HTMLVideoElement && event.key.startsWith("Arrow")) return;
    runKey(event, {
      " ": () => playKey(() => togglePlay(screen)),
      o: () => box.classList.toggle("plain"),
      ArrowLeft: () => goTo(-1),
      ArrowRight: () => goTo(1),
      r: () => boxes.get("reviewed")?.click(),
      k: () => boxes.get("kept")?.click(),
    });
  };
  history.replaceState(null, "", linkOf(visit));
}

/** The link to the recording of a visit by another program, if there is one. @param {Visit} visit */
function recordingOf(visit) {
  const address = cameras.states[visit.camera]?.recording;
  if (!address) return [];
  const end = visit.end ?? visit.moment;
  const href = address
    .replaceAll("{start}", String(Math.floor(visit.moment - AROUND)))
    .replaceAll("{end}", String(Math.ceil(end + AROUND)));
  return [make("a", { href, target: "_blank", rel: "noreferrer", textContent: "Recording" })];
}

/** Play the clip of a visit, or hold it. */
function togglePlay(/** @type {HTMLElement} */ screen) {
  const clip = screen.querySelector("video");
  return clip ? void (clip.paused ? clip.play() : clip.pause()) : false;
}

/** What shows and sets the marks of a visit. @param {Visit} visit */
function markBoxes(visit) {
  /** @type {Map<Mark, HTMLInputElement>} */
  const boxes = new Map();
  const labels = /** @type {[Mark, string, string][]} */ ([
    ["reviewed", "Reviewed", "R"],
    ["kept", "Keep", "K"],
  ]).map(([mark, text, key]) => {
    const { box, label } = tick(text, { checked: visit[mark], disabled: looks, title: `${text} (${key})` });
    box.onchange = () => void reviewed.mark([visit], mark, box.checked).catch(tell);
    boxes.set(mark, box);
    return label;
  });
  return { boxes, labels };
}

/** Whether a visit is open. */
export const isOpen = () => element("dialog").open;
