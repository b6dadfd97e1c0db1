// The timeline: a named row for each listed object with presence, confidence and corrected frames.

import { listenDrags } from "./controls.js";
import { element } from "./dom.js";
import { along, drawing } from "./paint.js";
import { remarksOn } from "./people.js";
import { go } from "./playback.js";
import { frameAtShare, hiddenPixels, namedFrames, pixelOf, rangeFrom, scrolledTo, zoomed } from "./scale.js";
import { MUCH, state } from "./state.js";

const ROW = 20;
const HEAD = 18;
/** the names, at the left of the rows */
const NAMES = 132;
const NARROW_NAMES = 72;

/** How high so many rows are, in pixels. */
export const timelineHeight = (/** @type {number} */ rows) => HEAD + rows * ROW;

/** @typedef {import("./state.js").TrackedObject} TrackedObject */

class Timeline {
  constructor() {
    const canvas = (this.canvas = element("timeline"));
    /** what scrolls: a space as large as all rows and frames, on which the canvas stays in place */
    this.box = element("timeline-box");
    this.context = drawing(canvas);
    /** frames that are shown, from one to another @type {import("./scale.js").Range} */
    this.range = [0, 1];
    /** the frame and object that were shown last, of how many frames */
    this.frame = this.frames = 0;
    /** @type {number | null} */
    this.object = null;
    this.width = this.height = this.names = 1;
    listenDrags(
      canvas,
      (event, isDragging) => go(this.frameAt(event), isDragging),
      (event) => this.press(event),
    );
    canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.hover(event));
    canvas.addEventListener("wheel", (/** @type {WheelEvent} */ event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (/** @type {MouseEvent} */ event) => {
      if (event.offsetX >= this.names) this.show(0, state.video.frames);
    });
    this.box.addEventListener("scroll", () => this.scrolled());
    new ResizeObserver(() => this.draw()).observe(this.box);
    state.listen(() => this.draw());
  }

  /** A name is pressed, or a place among the frames. @returns {boolean} whether frames are gone through */
  press(/** @type {PointerEvent} */ event) {
    this.canvas.focus({ preventScroll: true });
    if (event.offsetX >= this.names) return true;
    const item = this.objectAt(event);
    if (item) state.choose(item.id);
    return false;
  }

  hover(/** @type {PointerEvent} */ event) {
    const { canvas } = this;
    if (canvas.hasPointerCapture(event.pointerId)) return;
    const item = event.offsetX < this.names ? this.objectAt(event) : undefined;
    canvas.style.cursor = item ? "pointer" : "";
    canvas.title = [this.remarksAt(event), item?.name ?? this.attributesAt(event)].filter(Boolean).join("\n");
  }

  objectAt(/** @type {MouseEvent} */ event) {
    return event.offsetY < HEAD
      ? undefined
      : state.listed[Math.floor((event.offsetY - HEAD + this.box.scrollTop) / ROW)];
  }

  /** The attribute values whose mark is under the pointer. */
  attributesAt(/** @type {MouseEvent} */ event) {
    const item = event.offsetX < this.names ? undefined : this.objectAt(event);
    const near = (/** @type {string} */ frame) => Math.abs(this.x(Number(frame)) - event.offsetX) <= 6;
    return Object.entries(item?.frame_attributes ?? {})
      .flatMap(([name, points]) =>
        Object.keys(points)
          .filter(near)
          .map((frame) => `${name}: ${points[frame] || "none"}, from frame ${frame} on`),
      )
      .join("\n");
  }

  /** The open comments whose mark is under the pointer. */
  remarksAt(/** @type {MouseEvent} */ event) {
    const object = this.objectAt(event)?.id ?? null;
    if (object === null && event.offsetY >= HEAD) return "";
    return remarksOn(state.comments, object)
      .filter(({ frame }) => Math.abs(this.remarkX(frame) - event.offsetX) <= 7)
      .map(({ user, text }) => `${user || "No name"}: ${text}`)
      .join("\n");
  }

  /** Where the mark of a comment is; that of an object on all frames is beside its name. */
  remarkX(/** @type {number | null} */ frame) {
    return frame === null ? this.names - 8 : this.x(frame);
  }

  frameAt(/** @type {MouseEvent} */ event) {
    const share = (event.clientX - this.canvas.getBoundingClientRect().left - this.names) / this.room;
    return frameAtShare(share, this.range, state.video.frames);
  }

  /** pixels beside the names */
  get room() {
    return this.width - this.names;
  }

  /** Zoom; all else the browser scrolls. */
  wheel(/** @type {WheelEvent} */ event) {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) return;
    event.preventDefault();
    const factor = Math.exp(event.deltaY / 300);
    this.take(zoomed(this.range, this.frameAt(event), factor, state.video.frames, this.room));
  }

  show(/** @type {number} */ start, /** @type {number} */ span) {
    this.take(rangeFrom(start, span, state.video.frames));
  }

  /** @param {import("./scale.js").Range} range */
  take(range) {
    this.range = range;
    state.changed();
  }

  /** The scroll bars were moved. */
  scrolled() {
    const { range, room } = this;
    const [before, all] = hiddenPixels(range, state.video.frames, room);
    const { scrollLeft } = this.box;
    if (all > 0.5 && Math.abs(scrollLeft - before) >= 1)
      this.take(scrolledTo(scrollLeft, range, state.video.frames, room));
    else this.draw();
  }

  /** Show all of another video, and keep another frame or object in sight. */
  follow() {
    const { frames } = state.video;
    if (frames !== this.frames) this.show(0, frames);
    const [from, to] = this.range;
    if (state.frame !== this.frame && (state.frame < from || state.frame > to))
      this.show(state.frame - (to - from) / 2, to - from);
    if (state.object !== this.object) {
      const top = ROW * state.listed.findIndex((item) => item.id === state.object);
      const room = this.box.clientHeight - HEAD - ROW;
      if (top >= 0) this.box.scrollTop = Math.min(top, Math.max(this.box.scrollTop, top - room));
    }
    Object.assign(this, { frame: state.frame, frames, object: state.object });
  }

  x(/** @type {number} */ frame) {
    return this.names + pixelOf(frame, this.range, this.room);
  }

  /** Grey out the frames that are not tracked. */
  drawRange(/** @type {string} */ shade, /** @type {number} */ height) {
    const { context } = this;
    const [first, last] = state.wanted;
    const step = (this.width - this.names) / Math.max(1, this.range[1] - this.range[0]);
    const [left, right] = [this.x(first) - step / 2, this.x(last) + step / 2];
    context.fillStyle = shade;
    if (first > 0 && left > this.names) context.fillRect(this.names, 0, left - this.names, height);
    if (last < state.video.frames - 1 && right < this.width) context.fillRect(right, 0, this.width - right, height);
  }

  /** Take the size of the window: the space has that of all rows and frames. */
  layOut() {
    const { canvas, box } = this;
    const space = element("timeline-space");
    space.style.height = `${timelineHeight(state.listed.length)}px`;
    [this.width, this.height] = [box.clientWidth, box.clientHeight];
    this.names = this.width < 700 ? NARROW_NAMES : NAMES;
    const [before, hidden] = hiddenPixels(this.range, state.video.frames, this.room);
    space.style.width = hidden > 0.5 ? `${this.width + hidden}px` : "";
    // A scroll bar that has come takes some of the room.
    [this.width, this.height] = [box.clientWidth, box.clientHeight];
    if (hidden > 0 && Math.abs(box.scrollLeft - before) >= 1) box.scrollLeft = before;
    const [wide, tall] = [this.width, this.height].map((length) => Math.round(length * devicePixelRatio));
    if (canvas.width === wide && canvas.height === tall) return;
    Object.assign(canvas, { width: wide, height: tall });
    Object.assign(canvas.style, { width: `${this.width}px`, height: `${this.height}px` });
  }

  draw() {
    const { canvas, context, box } = this;
    if (state.mode === "loading" || box.clientWidth < 2 * NARROW_NAMES) return;
    this.layOut();
    this.follow();
    const { width, height } = this;
    canvas.setAttribute("aria-valuemax", String(state.video.frames - 1));
    canvas.setAttribute("aria-valuenow", String(state.frame));
    canvas.setAttribute("aria-valuetext", `frame ${state.frame} of ${state.video.frames}`);
    const style = getComputedStyle(document.documentElement);
    const [line, quiet, accent, track, text, panel, shade, sign, remark] = [
      "line",
      "quiet",
      "accent",
      "track",
      "text",
      "panel",
      "shade",
      "warn",
      "good",
    ].map((name) => style.getPropertyValue(`--${name}`));
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, height);
    state.listed.forEach((item, i) => {
      const top = HEAD + i * ROW - box.scrollTop;
      if (top > HEAD - ROW && top < height) this.row(item.id, item, top, { track, text, quiet, sign, remark, panel });
    });
    context.fillStyle = panel;
    context.fillRect(0, 0, width, HEAD);
    this.ruler(line, quiet, height);
    this.remarks(null, HEAD - 9, remark, panel);
    this.drawRange(shade, height);
    const x = this.x(state.frame);
    if (x < this.names - 1) return;
    context.fillStyle = accent;
    context.fillRect(x - 1, HEAD - 7, 2, height);
    along(context, [
      [x - 6, HEAD - 7],
      [x + 6, HEAD - 7],
      [x, HEAD + 2],
    ]);
    context.fill();
  }

  ruler(/** @type {string} */ line, /** @type {string} */ quiet, /** @type {number} */ height) {
    const { context } = this;
    context.font = "11px system-ui";
    context.textBaseline = "top";
    for (const frame of namedFrames(this.range, this.room)) {
      const x = this.x(frame);
      context.fillStyle = line;
      context.fillRect(x, HEAD - 4, 1, height);
      context.fillStyle = quiet;
      context.textAlign = x > this.width - 20 ? "right" : "center";
      context.fillText(String(frame), x, 1);
    }
  }

  /** Mark the open comments on an object, or on no object. */
  remarks(
    /** @type {number | null} */ object,
    /** @type {number} */ top,
    /** @type {string} */ colour,
    /** @type {string} */ rim,
  ) {
    const { context } = this;
    for (const { frame } of remarksOn(state.comments, object)) {
      const x = this.remarkX(frame);
      if (frame !== null && (x < this.names || x > this.width)) continue;
      context.beginPath();
      context.roundRect(x - 5, top, 10, 8, [4, 4, 4, 0]);
      context.fillStyle = colour;
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = rim;
      context.stroke();
    }
  }

  row(
    /** @type {number} */ number,
    /** @type {TrackedObject} */ item,
    /** @type {number} */ top,
    /** @type {Record<"track" | "text" | "quiet" | "sign" | "remark" | "panel", string>} */ colours,
  ) {
    const { track, text, quiet, sign, remark, panel } = colours;
    const { context } = this;
    const full = ROW - 6;
    const chosen = item.id === state.object;
    this.name(number, item, top + 3 + full / 2, chosen ? text : quiet);
    context.save();
    context.beginPath();
    context.rect(this.names, top, this.width - this.names, ROW);
    context.clip();
    context.fillStyle = track;
    context.fillRect(this.names, top + 2, this.width - this.names, full + 1);
    if (chosen) {
      context.strokeStyle = item.colour;
      context.lineWidth = 1;
      context.strokeRect(this.names + 0.5, top + 2.5, this.width - this.names - 1, full);
    }
    const step = (this.width - this.names) / Math.max(1, this.range[1] - this.range[0]);
    const given = [];
    context.fillStyle = item.colour;
    for (const [frame, mark] of state.marksOf(item.id)) {
      if (frame < this.range[0] - 1 || frame > this.range[1] + 1) continue;
      const x = Math.round(this.x(frame) - step / 2);
      const wide = Math.max(1, Math.round(this.x(frame) + step / 2) - x);
      if (mark.area > 0) {
        const tall = mark.kind === "given" ? full : Math.max(2, full * mark.score);
        context.globalAlpha = mark.kind === "given" ? 1 : 0.7;
        context.fillRect(x, top + 2 + full - tall, wide, tall);
      } else {
        context.globalAlpha = 0.5;
        context.fillRect(x, top + full + 1, wide, 1.5);
      }
      if (mark.reviewed) {
        context.globalAlpha = 1;
        context.fillStyle = text;
        context.fillRect(x, top, wide, 2);
        context.fillStyle = item.colour;
      }
      if (typeof mark.agreement === "number") {
        context.globalAlpha = 1;
        context.fillStyle = mark.agreement < MUCH ? sign : quiet;
        context.fillRect(x, top + full + 3, wide, 3);
        context.fillStyle = item.colour;
      }
      if (mark.kind === "given") given.push(this.x(frame));
    }
    context.restore(); // marks are whole, those of the first frame too
    const isInside = (/** @type {number} */ x) => x >= this.names && x <= this.width;
    for (const x of given.filter(isInside)) {
      const y = top + 2 + full / 2;
      along(context, [
        [x, y - 6],
        [x + 5, y],
        [x, y + 6],
        [x - 5, y],
      ]);
      context.closePath();
      context.fillStyle = text;
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = item.colour;
      context.stroke();
    }
    context.fillStyle = sign;
    const framesOfAttributes = Object.values(item.frame_attributes ?? {}).flatMap((points) => Object.keys(points));
    for (const x of [...new Set(framesOfAttributes)].map((frame) => this.x(Number(frame))).filter(isInside)) {
      along(context, [
        [x - 4, top],
        [x + 4, top],
        [x, top + 6],
      ]);
      context.fill();
    }
    this.remarks(item.id, top + 6, remark, panel);
  }

  /** The number and name of a row, cut where it is too long. */
  name(
    /** @type {number} */ number,
    /** @type {TrackedObject} */ item,
    /** @type {number} */ middle,
    /** @type {string} */ colour,
  ) {
    const { context } = this;
    const room = this.names - 24;
    context.fillStyle = item.colour;
    context.fillRect(2, middle - 4, 8, 8);
    context.font = "12px system-ui";
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillStyle = colour;
    let shown = `${number} ${item.name}`;
    while (shown.length > 1 && context.measureText(shown).width > room)
      shown = `${shown.slice(0, shown.endsWith("…") ? -2 : -1)}…`;
    context.fillText(shown, 16, middle);
  }
}

new Timeline();
