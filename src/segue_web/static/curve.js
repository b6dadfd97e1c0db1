// Where two results are compared: the measures over the frames, and the way to the worst of them.

import { listenDrags } from "./controls.js";
import { make, notice } from "./dom.js";
import { along, cleared } from "./paint.js";
import { go } from "./playback.js";
import { worstFrame } from "./review.js";
import { state } from "./state.js";

/** colours of the measures, by their places: of the page's style */
const TONES = ["accent", "warn", "good"];
const HEIGHT = 96;

const canvas = make("canvas", { className: "curve", role: "img" });
const frameAt = (/** @type {PointerEvent} */ event) =>
  Math.round((event.offsetX / canvas.clientWidth) * (state.video.frames - 1));
listenDrags(canvas, (event, isDragging) => go(frameAt(event), isDragging));

/** The curve of the scores so far, with a key. @param {{columns: string[]}} score */
export function curvePart({ columns }) {
  const key = columns.map((name, i) => {
    const sign = make("i", { className: "swatch" });
    sign.style.background = `var(--${TONES[i]})`;
    return make("span", { className: "key" }, [sign, name]);
  });
  canvas.setAttribute("aria-label", `${columns.join(" and ")} over the frames; a click goes to one`);
  requestAnimationFrame(drawCurve);
  return make("div", { className: "curve-part" }, [canvas, make("div", { className: "row" }, key)]);
}

/** Draw it for the frame that is shown. */
export function drawCurve() {
  const { curve = [] } = state.score ?? {};
  if (!canvas.clientWidth) return;
  const [context, width, ratio] = [cleared(canvas), canvas.clientWidth, devicePixelRatio];
  const style = getComputedStyle(document.documentElement);
  const tone = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`);
  const [x, y] = [
    (/** @type {number} */ frame) => (frame / Math.max(1, state.video.frames - 1)) * width,
    (/** @type {number} */ value) => 2 + (1 - value) * (HEIGHT - 4),
  ];
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = tone("line");
  for (const level of [0, 0.5, 1]) context.fillRect(0, y(level), width, 1);
  context.lineWidth = 1.5;
  for (let column = 1; column < (curve[0]?.length ?? 0); column++) {
    context.strokeStyle = tone(TONES[column - 1]);
    along(
      context,
      curve.map((row) => [x(row[0]), y(row[column])]),
    );
    context.stroke();
  }
  context.fillStyle = tone("text");
  context.fillRect(x(state.frame) - 0.5, 0, 1, HEIGHT);
}

/** visited frames, which are not visited again */
let visited = new Set();

/** Go to the frame with the lowest mean of the measures, then to the next one at least ten frames away. */
export function goWorst() {
  const curve = state.score?.curve ?? [];
  const worst = worstFrame(curve, visited);
  if (worst === undefined) {
    notice(
      curve.length
        ? "You have visited all frames. Press again to start with the worst one."
        : "No frame is scored yet.",
    );
    visited = new Set();
    return;
  }
  visited.add(worst);
  go(worst);
}
