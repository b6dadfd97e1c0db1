// What a frame was before its last change, for the picture on the left when both are shown side by side.

export class Beside {
  /**
   * @param {import("./state.js").State} state
   * @param {(op: string, fields: object) => Promise<any>} ask
   */
  constructor(state, ask) {
    this.state = state;
    this.ask = ask;
    /** the frame that was asked for last, and its revision */
    this.asked = "";
    state.subscribe(() => { void this.load(); });
  }

  /** Ask for what stands on the left, once for each frame as it is now. */
  async load() {
    const { state } = this;
    const look = state.looks.get(state.frame);
    if (!state.online) this.asked = "";  // an answer may have been lost
    if (!state.beside || !look) return;
    const key = `${look.frame}.${look.revision}.${state.history.undo}`;
    if (key === this.asked) return;
    this.asked = key;
    const answer = await this.ask("before", { frame: look.frame });
    if (!answer || key !== this.asked) return;
    state.before = { key, frame: look.frame, label: answer.label, masks: answer.masks };
    state.changed();
  }
}
