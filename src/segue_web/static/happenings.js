// What events say; the page of a run and that of cameras share it.

import { write } from "./paint.js";

/**
 * @typedef {{event: string, object: number, seconds: number, label: string | null, zone: string, direction: string}}
 *   Happening
 */

/** What an event says. @param {Happening} event */
export function eventText(event) {
  const where = event.zone ? ` in ${event.zone}` : "";
  const seconds = Number(event.seconds).toFixed(1);
  switch (event.event) {
    case "enter":
      return `entered${where}`;
    case "leave":
      return `left after ${seconds} s`;
    case "end":
      return `was present at the end${where}`;
    case "zone-enter":
      return `entered ${event.zone}`;
    case "zone-leave":
      return `left ${event.zone} after ${seconds} s`;
    case "loiter":
      return `has been in ${event.zone} for ${seconds} s`;
    case "offline":
      return "is lost";
    case "online":
      return `is back after ${seconds} s`;
    case "cross":
      return `crossed ${event.zone} to the ${event.direction}`;
    default:
      return event.event;
  }
}

/** Whom an event is about; a camera has no number. @param {Happening} event */
export const subjectOf = (event) =>
  Number(event.object) ? `${event.label || "Object"} ${event.object}` : "The camera";

/** A text at a place of the image, which its upper border does not cut. */
export const label = (
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {string} */ text,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ pixel,
  /** @type {string} */ colour,
) => write(context, text.trim(), x, Math.max(y, 8 * pixel), pixel, "center", colour);
