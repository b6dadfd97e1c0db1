// What a person says of an object on a frame goes to the server, one change after the other.

import { notice } from "./panels.js";

/** @type {Record<string, string>} */
const EXTENTS = { whole: "the object", part: "a part of it", group: "more than it" };

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
  }

  /** @param {number} frame */
  seen(frame) {
    return this.state.looks.get(frame)?.revision ?? 0;
  }

  /** @param {[number, number, boolean][]} points @param {number[] | null} box @param {string} [extent] */
  click(points, box, extent) {
    const frame = this.state.frame;
    this.link.inTurn(async () => {
      if (!this.state.looks.has(frame)) await this.look([frame]);
      const before = this.state.object === null ? null : this.state.looks.get(frame)?.prompts[this.state.object];
      const all = box ? [] : [...(before?.points ?? []), ...points];
      const meant = extent ?? before?.extent ?? "whole";
      const answer = await this.link.ask("click", { frame, object: this.state.object, points: all, box: box ?? before?.box ?? null, extent: meant, seen: this.seen(frame) });
      this.state.choose(answer.object);
      if (answer.extents.length > 1 && (extent || !before)) this.noticeExtent(answer.extent, answer.extents);
    }).catch(this.complain).finally(() => this.onAnswered(points));
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
    const now = this.meant();
    if (now) this.click([], null, now.extents[(now.extents.indexOf(now.extent) + 1) % now.extents.length]);
  }

  /** @param {string} counts @param {boolean} add */
  stroke(counts, add) {
    const frame = this.state.frame;
    this.link.inTurn(async () => {
      if (!this.state.looks.has(frame)) await this.look([frame]);
      const answer = await this.link.ask("stroke", { frame, object: this.state.object, counts, add, seen: this.seen(frame) });
      this.state.choose(answer.object);
    }).catch(this.complain);
  }

  /** A polygon of this frame, which those on other frames are interpolated to. @param {[number, number][]} corners */
  async polygon(corners) {
    const frame = this.state.frame;
    await this.link.inTurn(async () => {
      if (!this.state.looks.has(frame)) await this.look([frame]);
      const answer = await this.link.ask("polygon", { frame, object: this.state.object, corners, seen: this.seen(frame) });
      this.state.choose(answer.object);
      if (answer.frames) notice(`Interpolated on ${answer.frames} ${answer.frames === 1 ? "frame" : "frames"}.`);
      if (!this.state.looks.has(frame)) await this.look([frame]);
    }).catch(this.complain);
  }

  /** @param {boolean} hidden */
  forget(hidden) {
    const frame = this.state.frame;
    if (this.state.object === null) return;
    this.link.inTurn(() => this.link.ask("forget", { frame, object: this.state.object, hidden, seen: this.seen(frame) })).catch(this.complain);
  }

  /** @param {"undo" | "redo"} op */
  async undo(op) {
    const answer = await this.link.inTurn(() => this.link.ask(op)).catch(this.complain);
    if (!answer) return;
    notice(`${op === "undo" ? "Undone" : "Done again"}: ${answer.label}`);
    if (answer.frames.length === 1 && answer.frames[0] !== this.state.frame) this.go(answer.frames[0], false);
  }

  /** @param {number} id @param {object} values */
  change(id, values) {
    if (this.state.mode === "annotate") { void this.link.inTurn(() => this.link.ask("object", { object: id, ...values })).catch(this.complain).finally(() => this.state.changed()); return; }
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
    void this.link.inTurn(() => this.link.ask("remove", { object })).catch(this.complain);
  }
}
