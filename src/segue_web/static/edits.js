// What a person says of an object on a frame goes to the server, one change after the other.

import { notice } from "./panels.js";

/** @typedef {import("./state.js").Look} Look @typedef {import("./state.js").Prompts} Prompts */

/** @type {Record<string, string>} */
const EXTENTS = { whole: "the object", part: "a part of it", group: "more than it" };

/** what the steps of the history are, as a person would say */
const STEPS = /** @type {Record<string, string>} */ ({
  click: "click", brush: "brush stroke", eraser: "eraser stroke", polygon: "polygon", hide: "“Not visible”", clear: "“Clear mask”",
  track: "tracking", remove: "removal of an object", import: "import", "add suggestions": "suggestions",
  name: "name", category: "class", group: "group", colour: "colour", visible: "hiding or showing", locked: "locking", attributes: "attribute",
});

/** @param {string} label */
export const stepName = (label) => label.split(", ").map((part) => STEPS[part] ?? part).join(", ");

export class Edits {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./link.js").Link} link
   * @param {{look: (frames: number[]) => Promise<void>, go: (frame: number, dragging: boolean) => void,
   *   complain: (error: unknown) => void}} page
   */
  constructor(state, link, page) {
    this.state = state;
    this.link = link;
    this.look = page.look;
    this.go = page.go;
    this.complain = page.complain;
    /** clicks that the server has answered @type {(points: [number, number, boolean][]) => void} */
    this.onAnswered = () => undefined;
    /** whether what was asked for last has made a step @type {Promise<boolean>} */
    this.lastMade = Promise.resolve(true);
  }

  /**
   * Changes go one after the other, so that each is made on what the one before it left.
   * @param {() => Promise<any>} change
   * @returns {Promise<any>}
   */
  inTurn(change) {
    const { state } = this;
    state.pending++;
    state.changed();
    const turn = this.link.inTurn(change).finally(() => { state.pending--; state.changed(); });
    this.lastMade = turn.then((answer) => answer !== null, () => false);
    return turn;
  }

  /**
   * A change of what is chosen now, on the frame that is shown now, whatever is chosen and shown in its turn.
   * @param {(about: {frame: number, object: number | null, seen: number}, look: Look | undefined) => Promise<any>} change
   * @returns {Promise<any>} the answer, which names the object; null where nothing was asked
   */
  edit(change) {
    const { state } = this;
    const { frame, target } = state;
    return this.inTurn(async () => {
      if (!state.looks.has(frame)) await this.look([frame]);
      const look = state.looks.get(frame);
      const answer = await change({ frame, object: target.id, seen: look?.revision ?? 0 }, look);
      if (answer?.object) state.made(target, answer.object);
      return answer;
    });
  }

  /** @param {[number, number, boolean][]} points @param {number[] | null} box @param {(before: Prompts | null) => string | null} [extent] nothing is asked where it says null */
  click(points, box, extent) {
    this.edit(async (about, look) => {
      const before = about.object === null ? null : look?.prompts[about.object] ?? null;
      const all = box ? [] : [...(before?.points ?? []), ...points];
      const meant = extent ? extent(before) : before?.extent ?? "whole";
      if (meant === null) return null;
      const answer = await this.link.ask("click", { ...about, points: all, box: box ?? before?.box ?? null, extent: meant });
      if (answer.extents.length > 1 && (extent || !before)) this.noticeExtent(answer.extent, answer.extents);
      return answer;
    }).catch(this.complain).finally(() => this.onAnswered(points));
  }

  /** The pointer rests: have the mask of a first click there computed. @param {[number, number]} at */
  rest(at) {
    const { state } = this;
    if (!state.editable || state.running || (state.object !== null && state.marksOf(state.object).has(state.frame))) return;
    void this.link.ask("prepare", { frame: state.frame, at }).catch(() => undefined);
  }

  /** What clicks alone may mean on this frame, if there is a choice. @returns {{extent: string, extents: string[]} | null} */
  meant() {
    const given = this.state.object === null ? null : this.state.look?.prompts[this.state.object];
    return given?.extent && given.extents && given.extents.length > 1 ? { extent: given.extent, extents: given.extents } : null;
  }

  /** @param {string} extent @param {string[]} extents */
  noticeExtent(extent, extents) {
    const others = extents.filter((name) => name !== extent).map((name) => EXTENTS[name]);
    notice(`This is ${EXTENTS[extent]}; O shows ${others.join(", then ")}.`);
  }

  otherExtent() {
    this.click([], null, (before) => {
      const extents = before?.extents ?? [];
      return extents.length > 1 ? extents[(extents.indexOf(before?.extent ?? "whole") + 1) % extents.length] : null;
    });
  }

  /** @param {string} counts @param {boolean} add */
  stroke(counts, add) {
    this.edit((about) => this.link.ask("stroke", { ...about, counts, add })).catch(this.complain);
  }

  /** A polygon of this frame, which those on other frames are interpolated to. @param {[number, number][]} corners */
  async polygon(corners) {
    await this.edit(async (about) => {
      const answer = await this.link.ask("polygon", { ...about, corners });
      if (answer.frames) notice(`Interpolated on ${answer.frames} ${answer.frames === 1 ? "frame" : "frames"}.`);
      if (!this.state.looks.has(about.frame)) await this.look([about.frame]);
      return answer;
    }).catch(this.complain);
  }

  /** @param {boolean} hidden */
  forget(hidden) {
    if (this.state.object === null) return;
    this.edit((about) => this.link.ask("forget", { ...about, hidden })).catch(this.complain);
  }

  /** Takes back what was asked for last; a change that is refused meanwhile leaves nothing to take back. @param {"undo" | "redo"} op */
  async undo(op) {
    const before = this.state.pending && op === "undo" ? this.lastMade : true;
    const change = async () => await before ? this.link.ask(op) : {};
    const answer = await this.inTurn(change).catch(this.complain);
    if (!answer?.label) return;
    notice(`${op === "undo" ? "Undone" : "Redone"}: ${stepName(answer.label)}`);
    if (answer.frames.length === 1 && answer.frames[0] !== this.state.frame) this.go(answer.frames[0], false);
  }

  /** @param {number} id @param {object} values */
  change(id, values) {
    if (this.state.mode === "annotate") { void this.inTurn(() => this.link.ask("object", { object: id, ...values })).catch(this.complain); return; }
    Object.assign(/** @type {object} */ (this.state.objects.find((item) => item.id === id)), values);
    this.state.changed();
  }

  /** Hide or show, lock or unlock what is chosen: an object, or all of a group. @param {"visible" | "locked"} what */
  toggle(what) {
    const chosen = this.state.objects.filter((item) => this.state.chosenIds.includes(item.id));
    if (chosen.length) this.changeAll(chosen.map((item) => item.id), { [what]: !chosen.some((item) => item[what]) });
  }

  /** Change several objects in one step. @param {number[]} ids @param {object} values */
  changeAll([id, ...also], values) {
    if (this.state.mode === "annotate") this.change(id, { also, ...values });
    else for (const one of [id, ...also]) this.change(one, values);
  }

  /** @param {number} object */
  remove(object) {
    void this.inTurn(() => this.link.ask("remove", { object })).catch(this.complain);
  }
}
