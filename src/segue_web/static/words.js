// How a camera is, in words.

/** @typedef {import("./cameras.js").State} State */

const NARROW = 3; // frames a second above which a rate needs no decimals

function sinceText(/** @type {string} */ since) {
  const seconds = Math.max(0, (Date.now() - new Date(since).getTime()) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

export const bytes = (/** @type {number} */ count) =>
  count >= 1e9 ? `${(count / 1e9).toFixed(1)} GB` : `${Math.round(count / 1e6)} MB`;
const rate = (/** @type {State} */ state) => `${state.fps.toFixed(state.fps < NARROW ? 1 : 0)} frames/s`;
const disk = (/** @type {State} */ state) => (state.disk_problem.includes("full") ? "disk full" : "disk error");
export const word = (/** @type {State} */ state) =>
  (state.status === "online" ? "online" : `${state.status} for ${sinceText(state.since)}`) +
  (state.disk_problem ? `, ${disk(state)}` : "") +
  (state.armed ? "" : ", disarmed") +
  (state.blind ? ", background unknown" : "");

export function aboutText(/** @type {State} */ state) {
  const events = `${state.events.toLocaleString("en")} event${state.events === 1 ? "" : "s"}`;
  return state.status === "online" ? `${rate(state)}, ${events}` : state.error || events;
}
