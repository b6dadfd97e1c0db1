// The timeline: a row for each object with presence, confidence, corrected frames and joined parts.

const ROW = 22;
const HEAD = 18;

export class Timeline {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./state.js").State} state
   * @param {(frame: number, dragging: boolean) => void} go
   */
  constructor(canvas, state, go) {
    this.canvas = canvas;
    this.state = state;
    this.go = go;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** frames that are shown @type {[number, number]} */
    this.range = [0, 1];
    this.width = 1;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); canvas.focus(); this.drag(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.drag(event); });
    canvas.addEventListener("pointerup", (event) => this.go(this.frameAt(event), false));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    new ResizeObserver(() => this.draw()).observe(/** @type {HTMLElement} */ (canvas.parentElement));
    state.subscribe(() => this.draw());
  }

  reset() {
    this.range = [0, Math.max(1, this.state.video.frames - 1)];
    this.draw();
  }

  /** @param {PointerEvent} event */
  drag(event) {
    this.go(this.frameAt(event), true);
  }

  /** @param {MouseEvent} event */
  frameAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const frame = Math.round(this.range[0] + share * (this.range[1] - this.range[0]));
    return Math.min(Math.max(frame, 0), this.state.video.frames - 1);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const last = Math.max(1, this.state.video.frames - 1);
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

  /** @param {number} start @param {number} span */
  show(start, span) {
    const last = Math.max(1, this.state.video.frames - 1);
    const from = Math.min(Math.max(0, start), Math.max(0, last - span));
    this.range = [from, Math.min(last, from + span)];
    this.draw();
  }

  /** Keep the current frame in sight of a timeline that is zoomed in. */
  follow() {
    const [from, to] = this.range;
    if (this.state.frame < from || this.state.frame > to) this.show(this.state.frame - (to - from) / 2, to - from);
  }

  /** @param {number} frame */
  x(frame) {
    return ((frame - this.range[0]) / Math.max(1e-9, this.range[1] - this.range[0])) * this.width;
  }

  /** Grey out the frames that are not tracked. @param {number} height */
  drawRange(height) {
    const { context, state } = this;
    const [first, last] = state.wanted;
    const step = this.width / Math.max(1, this.range[1] - this.range[0]);
    const [left, right] = [this.x(first) - step / 2, this.x(last) + step / 2];
    context.fillStyle = "rgb(0 0 0 / 45%)";
    if (first > 0 && left > 0) context.fillRect(0, 0, left, height);
    if (last < state.video.frames - 1 && right < this.width) context.fillRect(right, 0, this.width - right, height);
  }

  draw() {
    const { canvas, context, state } = this;
    if (state.mode === "loading") return;
    const ratio = devicePixelRatio;
    this.width = /** @type {HTMLElement} */ (canvas.parentElement).clientWidth - 24;
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
    const [line, quiet, accent, raised, text] = ["--line", "--quiet", "--accent", "--raised", "--text"].map((name) => style.getPropertyValue(name));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, height);
    this.ruler(line, quiet, height);
    state.objects.forEach((item, i) => this.row(item, HEAD + i * ROW, raised, text));
    this.drawRange(height);
    const x = this.x(state.frame);
    context.fillStyle = accent;
    context.fillRect(x - 1, HEAD - 7, 2, height);
    context.beginPath();
    context.moveTo(x - 6, HEAD - 7);
    context.lineTo(x + 6, HEAD - 7);
    context.lineTo(x, HEAD + 2);
    context.fill();
  }

  /** @param {string} line @param {string} quiet @param {number} height */
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

  /** @param {import("./state.js").Thing} item @param {number} top @param {string} ground @param {string} text */
  row(item, top, ground, text) {
    const { context, state } = this;
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
        if (mark.weight === null) {
          context.globalAlpha = mark.kind === "given" ? 1 : mark.kind === "interpolated" ? 0.4 : 0.7;
          context.fillRect(x, top + 2 + full - tall, wide, tall);
        } else {
          // Two directions: the lower part is the share of the earlier correction, the upper of the later.
          const later = tall * mark.weight;
          context.globalAlpha = 0.85;
          context.fillRect(x, top + 2 + full - (tall - later), wide, tall - later);
          context.globalAlpha = 0.4;
          context.fillRect(x, top + 2 + full - tall, wide, later);
        }
      } else {
        context.globalAlpha = 0.5;
        context.fillRect(x, top + full + 1, wide, 1.5);
      }
      if (mark.kind === "given") given.push(this.x(frame));
    }
    context.globalAlpha = 1;
    for (const x of given) {
      const y = top + 2 + full / 2;
      context.beginPath();
      context.moveTo(x, y - 6);
      context.lineTo(x + 5, y);
      context.lineTo(x, y + 6);
      context.lineTo(x - 5, y);
      context.closePath();
      context.fillStyle = text;
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = item.colour;
      context.stroke();
    }
  }
}
