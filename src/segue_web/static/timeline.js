// The timeline: a row for each object with presence, confidence, corrected frames and joined parts.

import { element } from "./dom.js";
import { along } from "./paint.js";
import { go } from "./playback.js";
import { state } from "./state.js";

const ROW = 22;
const HEAD = 18;

class Timeline {
  constructor() {
    const canvas = this.canvas = element("timeline");
    this.context = canvas.getContext("2d");
    /** frames that are shown */
    this.range = [0, 1];
    /** the frame that was shown last, of how many */
    this.frame = this.frames = 0;
    this.width = 1;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); canvas.focus(); go(this.frameAt(event), true); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) go(this.frameAt(event), true); });
    canvas.addEventListener("pointerup", (event) => go(this.frameAt(event), false));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.show(0, state.video.frames));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    state.listeners.add(() => this.draw());
  }

  frameAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const frame = Math.round(this.range[0] + share * (this.range[1] - this.range[0]));
    return Math.min(Math.max(frame, 0), state.video.frames - 1);
  }

  wheel(event) {
    const last = Math.max(1, state.video.frames - 1);
    const span = this.range[1] - this.range[0];
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = ((event.deltaX || event.deltaY) / 600) * span;
      this.show(this.range[0] + by, span);
    } else if (event.ctrlKey || event.metaKey || event.altKey) {
      const at = this.frameAt(event);
      const wanted = Math.min(last, Math.max(10, span * Math.exp(event.deltaY / 300)));
      this.show(at - ((at - this.range[0]) * wanted) / span, wanted);
    } else return;
    event.preventDefault();
  }

  show(start, span) {
    const last = Math.max(1, state.video.frames - 1);
    const from = Math.min(Math.max(0, start), Math.max(0, last - span));
    this.range = [from, Math.min(last, from + span)];
    state.changed();
  }

  /** Show all of another video, and keep another frame in sight of a timeline that is zoomed in. */
  follow() {
    const { frames } = state.video;
    if (frames !== this.frames) this.show(0, frames);
    const [from, to] = this.range;
    if (state.frame !== this.frame && (state.frame < from || state.frame > to)) this.show(state.frame - (to - from) / 2, to - from);
    Object.assign(this, { frame: state.frame, frames });
  }

  x(frame) {
    return ((frame - this.range[0]) / Math.max(1e-9, this.range[1] - this.range[0])) * this.width;
  }

  /** Grey out the frames that are not tracked. */
  drawRange(height) {
    const { context } = this;
    const [first, last] = state.wanted;
    const step = this.width / Math.max(1, this.range[1] - this.range[0]);
    const [left, right] = [this.x(first) - step / 2, this.x(last) + step / 2];
    context.fillStyle = "rgb(0 0 0 / 45%)";
    if (first > 0 && left > 0) context.fillRect(0, 0, left, height);
    if (last < state.video.frames - 1 && right < this.width) context.fillRect(right, 0, this.width - right, height);
  }

  draw() {
    const { canvas, context } = this;
    if (state.mode === "loading") return;
    this.follow();
    const ratio = devicePixelRatio;
    this.width = canvas.parentElement.clientWidth - 24;
    if (this.width < 1) return;
    const height = HEAD + Math.max(1, state.objects.length) * ROW;
    if (canvas.width !== Math.round(this.width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    canvas.setAttribute("aria-valuemax", String(state.video.frames - 1));
    canvas.setAttribute("aria-valuenow", String(state.frame));
    canvas.setAttribute("aria-valuetext", `frame ${state.frame} of ${state.video.frames}`);
    const style = getComputedStyle(document.documentElement);
    const [line, quiet, accent, track, text] = ["--line", "--quiet", "--accent", "--track", "--text"].map((name) => style.getPropertyValue(name));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, height);
    this.ruler(line, quiet, height);
    state.objects.forEach((item, i) => this.row(item, HEAD + i * ROW, track, text));
    this.drawRange(height);
    const x = this.x(state.frame);
    context.fillStyle = accent;
    context.fillRect(x - 1, HEAD - 7, 2, height);
    along(context, [[x - 6, HEAD - 7], [x + 6, HEAD - 7], [x, HEAD + 2]]);
    context.fill();
  }

  ruler(line, quiet, height) {
    const { context } = this;
    const span = this.range[1] - this.range[0];
    const rough = (span / this.width) * 90;
    const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? 1;
    context.font = "11px system-ui";
    context.textBaseline = "top";
    for (let frame = Math.ceil(this.range[0] / step) * step; frame <= this.range[1]; frame += step) {
      const x = this.x(frame);
      context.fillStyle = line;
      context.fillRect(x, HEAD - 4, 1, height);
      context.fillStyle = quiet;
      const label = String(frame);
      context.textAlign = x < 14 ? "left" : x > this.width - 20 ? "right" : "center";
      context.fillText(label, x, 1);
    }
  }

  row(item, top, ground, text) {
    const { context } = this;
    const full = ROW - 6;
    context.fillStyle = ground;
    context.fillRect(0, top + 2, this.width, full + 1);
    if (item.id === state.object) {
      context.strokeStyle = item.colour;
      context.lineWidth = 1;
      context.strokeRect(0.5, top + 2.5, this.width - 1, full);
    }
    const step = this.width / Math.max(1, this.range[1] - this.range[0]);
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
      if (mark.kind === "given") given.push(this.x(frame));
    }
    context.globalAlpha = 1;
    for (const x of given) {
      const y = top + 2 + full / 2;
      along(context, [[x, y - 6], [x + 5, y], [x, y + 6], [x - 5, y]]);
      context.closePath();
      context.fillStyle = text;
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = item.colour;
      context.stroke();
    }
  }
}

new Timeline();
