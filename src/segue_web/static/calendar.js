// Hours and days in the browser's time zone: the server counts between these times.

const HOUR = 3600;

/** The day of a moment in words. @param {number} moment seconds of the epoch */
export const dayOf = (moment) =>
  new Date(moment * 1000).toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** The time of day of a moment. @param {number} moment seconds of the epoch */
export const timeOf = (moment) => new Date(moment * 1000).toLocaleTimeString("en-GB");

/** How long something takes, in words: whole seconds, minutes or hours. */
export function durationText(/** @type {number} */ seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * The moments at which the last hours or days of the clock began, in seconds of the epoch, the oldest first.
 * @param {"hour" | "day"} by @param {number} count @param {Date} now
 */
export function startsOf(by, count, now) {
  const back = Array.from({ length: count }, (_, i) => count - 1 - i);
  if (by === "day")
    // By the calendar: with the change of the clocks days have 23 or 25 hours.
    return back.map((days) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - days).getTime() / 1000);
  const last = new Date(now).setMinutes(0, 0, 0) / 1000;
  return back.map((hours) => last - HOUR * hours);
}

/** What stands below the bar of an hour or a day. @param {"hour" | "day"} by @param {number} start */
export function tickOf(by, start) {
  const date = new Date(start * 1000);
  if (by === "hour") return String(date.getHours());
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "numeric" });
}
