// Going through the video: to a frame, and playing it.

export class Playback {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./view.js").View} view
   * @param {import("./timeline.js").Timeline} timeline
   * @param {() => void} onSettled called when a frame is looked at for a while
   */
  constructor(state, view, timeline, onSettled) {
    this.state = state;
    this.view = view;
    this.timeline = timeline;
    this.onSettled = onSettled;
    this.timer = 0;
    /** when the next frame is due */
    this.due = 0;
  }

  /** @param {number} frame @param {boolean} dragging */
  go(frame, dragging) {
    const { state } = this;
    state.frame = Math.min(Math.max(Math.round(frame), 0), state.video.frames - 1);
    this.timeline.follow();
    void this.view.load(dragging, dragging ? 0 : state.playing ? 12 : 2);
    clearTimeout(this.timer);
    if (!state.playing) this.timer = window.setTimeout(this.onSettled, dragging ? 400 : 200);
    state.changed();
  }

  /** Stay on this frame, for somebody works on it. */
  hold() {
    if (this.state.playing) this.toggle();
  }

  /** Play or pause. */
  toggle() {
    this.state.playing = !this.state.playing;
    this.due = performance.now();
    requestAnimationFrame((now) => this.play(now));
    if (!this.state.playing) this.onSettled();
    this.state.changed();
  }

  /** @param {number} now */
  play(now) {
    const { state } = this;
    if (!state.playing) return;
    if (now >= this.due && this.view.ready) {
      this.due = Math.max(this.due + 1000 / state.video.fps, now - 100);
      if (state.frame + 1 >= state.video.frames) { this.toggle(); return; }
      this.go(state.frame + 1, false);
    }
    requestAnimationFrame((later) => this.play(later));
  }

  /** To the next frame that a person corrected. @param {1 | -1} direction */
  goGiven(direction) {
    const frames = this.state.givenFrames();
    const next = direction > 0 ? frames.find((frame) => frame > this.state.frame) : frames.reverse().find((frame) => frame < this.state.frame);
    if (next !== undefined) this.go(next, false);
  }

  /** To the least sure frame but this one. */
  goUnsure() {
    const item = this.state.unsure().find(({ frame }) => frame !== this.state.frame);
    if (item) { this.state.choose(item.object.id); this.go(item.frame, false); }
  }
}
