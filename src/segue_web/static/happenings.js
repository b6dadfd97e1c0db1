// What events say, and zones in an image; the page of a run and that of cameras share them.

import { along, outline, write } from "./paint.js";

/**
 * @typedef {{name: string, points: [number, number][], percent: boolean}} Zone
 * @typedef {{event: string, object: number, seconds: number, label: string | null, zone: string, direction: string}}
 *   Happening
 */

/** What an event says. @param {Happening} event */
export function eventText(event) {
  const where = event.zone ? ` in ${event.zone}` : "";
  const seconds = Number(event.seconds).toFixed(1);
  switch (event.event) {
    case "enter":
      return `has come${where}`;
    case "leave":
      return `has gone after ${seconds} s`;
    case "end":
      return `is there at the end${where}`;
    case "zone-enter":
      return `is in ${event.zone}`;
    case "zone-leave":
      return `has left ${event.zone} after ${seconds} s`;
    case "loiter":
      return `has been in ${event.zone} for ${seconds} s`;
    case "offline":
      return "is lost";
    case "online":
      return `is back after ${seconds} s`;
    case "cross":
      return `has crossed ${event.zone} to the ${event.direction}`;
    default:
      return event.event;
  }
}

/** Whom an event is about; a camera has no number. @param {Happening} event */
export const subjectOf = (event) =>
  Number(event.object) ? `${event.object}${event.label ? ` ${event.label}` : ""}` : "The camera";

/** A text at a place of the image, which its upper border does not cut. */
export const label = (context, text, x, y, pixel, colour) =>
  write(context, text.trim(), x, Math.max(y, 8 * pixel), pixel, "center", colour);

/**
 * The corners of a zone in an image of a width and height; ``full`` is the size of the source, which zones in pixels
 * are of.
 */
export function cornersOf(zone, [height, width], full) {
  const [across, down] = zone.percent ? [width / 100, height / 100] : [width / full[1], height / full[0]];
  return zone.points.map(([x, y]) => [x * across, y * down]);
}

/** Draw zones and lines with their names. @param {Zone[]} zones */
export function drawZones(context, zones, size, full, pixel) {
  for (const zone of zones) {
    const points = cornersOf(zone, size, full);
    along(context, points);
    if (points.length > 2) context.closePath();
    outline(context, pixel, "#ffe066", 2);
    const [x, y] = points.reduce(([a, b], [c, d]) => [a + c / points.length, b + d / points.length], [0, 0]);
    label(context, zone.name, x, y, pixel, "#ffe066");
  }
}

/** Draw the corners of a zone that somebody makes; a single one is a dot. */
export function drawNewZone(context, points, pixel) {
  along(context, points);
  if (points.length > 2) context.closePath();
  outline(context, pixel, "#7dd3fc", 2);
  context.fillStyle = "#7dd3fc";
  for (const [x, y] of points) context.fillRect(x - 3 * pixel, y - 3 * pixel, 6 * pixel, 6 * pixel);
}
