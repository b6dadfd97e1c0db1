// Objects that a detector finds on a frame, and those of them that are taken.

import { element, make, notice } from "./panels.js";

export class Suggestions {
  /**
   * @param {import("./state.js").State} state
   * @param {(op: string, fields: object) => Promise<any>} ask
   * @param {(key: string, value: any) => void} remember
   */
  constructor(state, ask, remember) {
    this.state = state;
    this.ask = ask;
    this.remember = remember;
    this.select = /** @type {HTMLSelectElement} */ (element("detector"));
    this.text = /** @type {HTMLInputElement} */ (element("wanted"));
    this.text.onkeydown = (event) => { if (event.key === "Enter") void this.find(); };
  }

  /** @param {string[]} names */
  fill(names) {
    this.select.replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
    if (names.includes(this.state.settings.detector)) this.select.value = this.state.settings.detector;
    this.select.onchange = () => this.remember("detector", this.select.value);
  }

  async find() {
    const { state } = this;
    const detector = this.select.value;
    const frame = state.frame;
    if (state.finding) return;
    state.finding = { detector, since: performance.now() };
    state.changed();
    const timer = setInterval(() => state.changed(), 500);
    const answer = await this.ask("find", { frame, detector, text: this.text.value.trim() });
    clearInterval(timer);
    const took = (performance.now() - state.finding.since) / 1000;
    state.finding = null;
    state.changed();
    if (!answer) return;
    this.remember(`seconds.${detector}`, Math.round(10 * took) / 10);
    state.found = answer.found;
    state.foundFrame = frame;
    state.chosen = new Set(answer.found.map((/** @type {any} */ _, /** @type {number} */ i) => i));
    element("found").replaceChildren();
    if (!answer.found.length) notice(`${this.text.value.trim() || detector} finds nothing on this frame.`);
    state.changed();
  }

  async adopt() {
    const { state } = this;
    const { found, foundFrame, chosen } = state;
    if (foundFrame < 0) return;
    Object.assign(state, { found: [], foundFrame: -1 });  // at once: the same are not added twice
    state.changed();
    if (await this.ask("adopt", { frame: foundFrame, chosen: found.filter((_, i) => chosen.has(i)) }) || state.foundFrame >= 0) return;
    Object.assign(state, { found, foundFrame, chosen });
    state.changed();
  }
}
