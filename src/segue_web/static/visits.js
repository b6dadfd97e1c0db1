// What visits of objects are, and how they are put together: without a browser.

import { durationText, timeOf } from "./calendar.js";
import { eventText, subjectOf } from "./happenings.js";

/**
 * @typedef {"kept" | "reviewed"} Mark
 * @typedef {{event: string, part: string, moment: number, seconds: number, zone: string, direction: string,
 *   snapshot: string, clip: string, clip_state: "" | "complete" | "pending" | "lost" | "deleted"}} VisitEvent
 * @typedef {{camera: string, place: string, object: number, label: string | null, zones: string[], moment: number,
 *   end: number | null, reviewed: boolean, kept: boolean, by: string, events: VisitEvent[]}} Visit
 * @typedef {{camera: string, start: number, visits: Visit[]}} Activity visits of a camera that belong together
 */

/** What the table says instead of a name where a file was deleted. */
export const DELETED = "deleted";

/** seconds without an object after which another activity begins */
const GAP = 60;
/** seconds of the longest activity: a busy road has no gaps */
const LONGEST = 900;

/**
 * Put visits together that are of one camera and follow each other; they and the activities are newest first.
 * @param {Visit[]} visits @returns {Activity[]}
 */
export function activitiesOf(visits) {
  /** @type {Map<string, {activity: Activity, end: number}>} */
  const newest = new Map();
  const activities = [];
  for (const visit of visits) {
    const open = newest.get(visit.camera);
    const end = visit.end ?? visit.moment;
    if (
      open &&
      open.activity.start - end <= GAP &&
      open.end - visit.moment <= LONGEST &&
      new Date(visit.moment * 1000).getDate() === new Date(open.activity.start * 1000).getDate()
    ) {
      open.activity.visits.push(visit);
      open.activity.start = visit.moment;
    } else {
      const activity = { camera: visit.camera, start: visit.moment, visits: [visit] };
      newest.set(visit.camera, { activity, end: visit.moment });
      activities.push(activity);
    }
  }
  return activities;
}

/** How many of what there were, such as "2 people, 1 car". @param {Visit[]} visits */
export function countText(visits) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { label, object } of visits) {
    const name = object ? label || "object" : "interruption";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => (count === 1 ? `1 ${name}` : `${count} ${plural(name)}`)).join(", ");
}

const plural = (/** @type {string} */ name) => (name === "person" ? "people" : `${name}s`);

/** How long it was there. @param {Visit} visit */
export function lengthText({ moment, end, events }) {
  if (end === null) return events.length ? "still present" : "";
  return durationText(Math.round(end - moment));
}

/** Whom an event of a visit is about. @param {Visit} visit */
export const subjectOfVisit = (visit) => subjectOf({ ...visit, event: "", seconds: 0, zone: "", direction: "" });

/** What an event of a visit says. @param {Visit} visit @param {VisitEvent} event */
export const textOf = ({ object, label }, event) => eventText({ ...event, object, label });

/** What it did beside coming and going. @param {Visit} visit */
export function actsText(visit) {
  const acts = visit.events.filter(({ event }) => !["enter", "leave", "end", "zone-leave"].includes(event));
  return [...new Set(acts.map((event) => textOf(visit, event)))].join(", ");
}

/** When it was there, and how long. @param {Visit} visit */
export const timesText = (visit) => [timeOf(visit.moment), lengthText(visit)].filter(Boolean).join(", ");

/** Whether a table names a file that there may be. */
export const isFile = (/** @type {string} */ file) => Boolean(file) && file !== DELETED && file !== "lost";

/** Where a file of an event is. @param {string} camera @param {string} part @param {string} file */
export const addressOf = (camera, part, file) => `files/${camera}/${part ? `${part}/` : ""}${file}`;

/** The best image of a visit: that of its first event that has one. @param {Visit} visit */
export const bestView = ({ events }) => events.find(({ snapshot }) => isFile(snapshot));

/** Its number in the store of its camera. @param {Visit} visit */
export const numberOf = ({ place }) => Number(place.slice(place.lastIndexOf("/") + 1));

/** Numbers of visits by their cameras, as marks are set. @param {Visit[]} visits @returns {Map<string, number[]>} */
export function numbersByCamera(visits) {
  /** @type {Map<string, number[]>} */
  const numbers = new Map();
  for (const visit of visits) numbers.set(visit.camera, [...(numbers.get(visit.camera) ?? []), numberOf(visit)]);
  return numbers;
}

/** Seconds at which a shared clip is to begin for an event: three before it, as a clip begins. */
export function startIn(/** @type {Visit[]} */ visits, /** @type {Visit} */ visit, /** @type {VisitEvent} */ event) {
  const begins = event.clip.replace(".mp4", ".jpg");
  for (const { camera, events } of visits) {
    if (camera !== visit.camera) continue;
    const first = events.find((other) => other.part === event.part && other.snapshot === begins);
    if (first) return Math.max(0, event.moment - first.moment);
  }
  return 0;
}
