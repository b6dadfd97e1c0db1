// What the page knows, and who wants to hear of it.

import { safeColour } from "./colours.js";
import { unsureFrames } from "./review.js";
import { Store } from "./store.js";

/**
 * @typedef {{grow: number, width: number, feather: number, detail: boolean}} Edge
 * @typedef {{name: string, width: number, height: number, frames: number, fps: number, pixel_aspect: number,
 *   times: number[] | null, bits?: number, number?: number, version?: string}} Video  ``version``: of its files
 * @typedef {{id: number, name: string, colour: string, visible: boolean, locked: boolean, category?: string, group?:
 *   string,
 *   attributes?: Record<string, string>, frame_attributes?: Record<string, Record<string, string>>, fixed?: string,
 *   edge?: Partial<Edge>}}
 *   TrackedObject  ``fixed``: why the colour cannot be changed here
 * @typedef {{name: string, type: string, of: string, values: string[]}} AttributeDefinition
 * @typedef {{classes: {name: string, colour: string | null, key: string | null, attributes:
 *   AttributeDefinition[]}[], attributes: AttributeDefinition[]}} LabelSchema
 * @typedef {{kind: string, score: number, area: number, reviewed: boolean, user?: string, reviewer?: string,
 *   agreement?: number | null}} FrameAnnotation
 * @typedef {{frame: number, object: number, agreement: number}} Change
 * @typedef {{id: number, object: number, hole: boolean, keys: [number, string, boolean][]}} KeyedShape
 * @typedef {{corners: number[][], on: boolean, key: boolean}} ShapeHere
 * @typedef {{points: [number, number, boolean][], box: number[] | null}} Prompts
 * @typedef {{frame: number, revision: number, masks: Record<string, string>, other?: Record<string, string>,
 *   difference?: Record<string, string[]>, shapes?: Record<string, ShapeHere>, replaced?: Record<string, string>,
 *   prompts: Record<string, Prompts>, marks:
 *   Record<string, [string, number, number, unknown, string?, string?, (number | null)?]>}} FrameData
 * @typedef {{job: string, what: string, done: number, total: number, rate: number, objects?: number[], shown?:
 *   [number, number] | null, passes?: number, computed?: number, user?: string, run?: string}} Running
 * @typedef {{id: number, direction: string, start: number, objects: number[], user: string, held: boolean, done:
 *   number | null, total: number}} Waiting  ``done``: null before it has begun
 * @typedef {{counts: string, label: string | null, score: number | null}} Found
 * @typedef {{columns: string[], rows: {object: number | null, here: number[] | null, all: number[] | null}[], done:
 *   number, total: number, truths?: number, left_out?: string, curve?: number[][]}} Score
 */

/** ways to look at two results: id and name */
export const COMPARE_MODES = [
  ["slider", "Slider"],
  ["both", "Side by side"],
  ["difference", "Difference"],
];

/** ways to look at masks: id and name */
export const VIEWS = [
  ["masks", "Masks"],
  ["outline", "Outlines"],
  ["matte", "Matte"],
  ["cutout", "Cut-out"],
];

/** ways to look at a mask that a tracking changed: id and name */
export const CHANGE_VIEWS = [
  ["difference", "Difference"],
  ["before", "Before"],
  ["after", "After"],
];

/** the part of a change that only what is drawn on the image hears of, such as a pointer that moves */
export const IMAGE = "image";

/** a mask that overlaps the one before by less has changed much */
export const MUCH = 0.8;

class State extends Store {
  mode = "loading";
  /** @type {Video} */
  video = { name: "", width: 1, height: 1, frames: 1, fps: 25, pixel_aspect: 1, times: null };
  /** @type {TrackedObject[]} */
  objects = [];
  /** marks by object, then frame @type {Map<number, Map<number, FrameAnnotation>>} */
  marks = new Map();
  /** how much of masks that trackings replaced is in those after them, until a person judges; by object, then frame
   * @type {Map<number, Map<number, number>>}
   */
  agreements = new Map();
  /** @type {Map<number, FrameData>} */
  frameData = new Map();
  /** the project's last change that the page has heard of */
  revision = 0;
  /** what is known of frames from before this change is out of date, and shown only until there are newer ones */
  forgotten = 0;
  /** the next steps to undo and redo, who made them, and their numbers
   * @type {{undo: string | null, redo: string | null, users?: Record<string, string>, entries?: Record<string,
   *   number | null>}}
   */
  history = { undo: null, redo: null };
  /** name of the person at this page, which stands with every change */
  user = "";
  /** the person's keys, by commands and tools @type {Record<string, string>} */
  ownKeys = {};
  /** whether another browser has the name that segue was started with */
  guest = false;
  /** @type {import("./people.js").Remark[]} */
  comments = [];
  /** shapes with keys @type {KeyedShape[]} */
  shapes = [];
  /** the folder of the project */
  folder = "";
  /** the tracking that runs @type {Running | null} */
  running = null;
  /** the export that runs @type {Running | null} */
  exporting = null;
  /** trackings that wait for their turn, or until the person goes on who has stopped one @type {Waiting[]} */
  queue = [];
  /** what objects may be, and what is to be said of them; anything where it has no classes @type {LabelSchema} */
  schema = { classes: [], attributes: [] };
  /** the objects as the server tells them, with colours of their own @type {TrackedObject[]} */
  known = [];
  /** networks that answer clicks: the one that is used, those that can be, and one to be downloaded
   * @type {{used: string, choices: string[], offer: {name: string, title: string, size: number | null, licence:
   *   string} | null, progress: {done: number, total: number | null} | null}}
   */
  prompters = { used: "", choices: [], offer: null, progress: null };
  /** names of the videos, where there are several @type {string[]} */
  videos = [];
  /** what the project can be exported to
   * @type {{id: string, group: string, name: string, text: string, suffix: string, known_only: boolean,
   *   opacity: string, bits: number, premultiplied: boolean}[]}
   */
  formats = [];
  /** endings of files that can be imported @type {string[]} */
  imports = [];
  /** formats that can be imported, for people @type {string[]} */
  importFormats = [];
  frame = 0;
  /**
   * what edits are of; without an id a new object, that of all edits with this target, perhaps asked for by a person
   */
  target = { id: /** @type {number | null} */ (null), fresh: false };
  /** changes that the server has not answered yet */
  pending = 0;
  /** what stands beside the buttons while there are none */
  saved = "";
  /** whether the network is loaded that answers clicks, which wait for it */
  loading = false;
  /** trackings and exports that were asked for and have not begun yet */
  starting = 0;
  /**
   * frames on which objects jump or fall apart: frame, object and what is strange
   * @type {[number, number, string][]}
   */
  flaws = [];
  /** the list at the side that is shown: objects, next or found */
  list = "objects";
  /** text that objects must have to be listed */
  filter = "";
  /** the group that is selected instead of an object @type {string | null} */
  group = null;
  tool = "click";
  /**
   * which of the masks that a click may mean is shown, while it is the mask of its object
   * @type {{frame: number, object: number, mask: string, place: number, scores: number[]} | null}
   */
  candidate = null;
  /**
   * other masks that the one click of an object may mean, while its mask is this one
   * @type {{frame: number, object: number, mask: string, masks: string[]} | null}
   */
  others = null;
  /** whether clicks on a mask segment the whole object again instead of correcting it */
  whole = false;
  playing = false;
  online = false;
  /** @type {Found[]} */
  found = [];
  foundFrame = -1;
  foundAt = 0;
  /** the detector that is at work */
  finding = "";
  /** @type {Set<number>} */
  chosen = new Set();
  /** J and F of the frame beside the means so far, where two results are compared @type {Score | null} */
  score = null;
  /** @type {{x: number, y: number} | null} */
  cursor = null;
  compare = "slider";
  /** how changed masks are shown: one of CHANGE_VIEWS */
  changeView = "difference";
  split = 0.5;
  /** @type {string[]} */
  names = [];
  /** @type {Record<string, any>} */
  settings = {
    brush: 24,
    opacity: 0.5,
    threshold: 0.8,
    theme: "auto",
    hidden: false,
    solo: false,
    view: "masks",
    backdrop: "#00b140",
    labels: false,
    classColours: true,
    palette: "own",
    hatched: false,
    neighbours: false,
    guides: "none",
    exposure: 0,
    gamma: 1,
    speed: 1,
    loop: false,
    stride: 10,
    seek: "given",
    detector: "",
    from: -1,
    to: -1,
    sideWidth: 0,
    sideFolded: false,
    timelineHeight: 0,
    timelineFolded: false,
  };
  /** seconds from the first frame of the video to a frame, as its file says */
  time(/** @type {number} */ frame) {
    const { frames, fps, times } = this.video;
    if (!times) return frame / fps;
    return frame < frames ? times[frame] : times[frames - 1] + 1 / fps;
  }

  setTimeline(
    /** @type {[number, number, string, number, number, unknown, string?, string?, (number | null)?][]} */ rows,
  ) {
    this.marks = new Map();
    this.agreements = new Map();
    for (const [frame, object, ...mark] of rows) this.setMark(object, frame, mark);
  }

  setMark(
    /** @type {number} */ object,
    /** @type {number} */ frame,
    /** @type {FrameData["marks"][string]} */ [kind, score, area, reviewed, user, reviewer, agreement = null],
  ) {
    this.marksOf(object).set(frame, { kind, score, area, reviewed: Boolean(reviewed), user, reviewer, agreement });
    if (agreement === null) return;
    const own = this.agreements.get(object) ?? new Map();
    this.agreements.set(object, own.set(frame, agreement));
  }

  marksOf(/** @type {number} */ object) {
    let marks = this.marks.get(object);
    if (!marks) this.marks.set(object, (marks = new Map()));
    return marks;
  }

  /** Take what the server says of a frame, unless something newer is known. */
  setFrameData(/** @type {FrameData} */ data) {
    if (data.revision < Math.max(this.forgotten, this.frameData.get(data.frame)?.revision ?? 0)) return false;
    this.frameData.set(data.frame, data);
    for (const marks of [...this.marks.values(), ...this.agreements.values()]) marks.delete(data.frame);
    for (const [id, mark] of Object.entries(data.marks)) this.setMark(Number(id), data.frame, mark);
    if (this.frameData.size > 400) {
      for (const key of [...this.frameData.keys()].slice(0, 100))
        if (Math.abs(key - this.frame) > 50) this.frameData.delete(key);
    }
    return true;
  }

  /** Ask for all frames again that were looked at before a change of many. */
  outdateFrames(/** @type {number} */ revision) {
    this.forgotten = Math.max(this.forgotten, revision);
  }

  /** A connection begins: its project may be an older copy, so that what was known before is only shown. */
  connected() {
    this.revision = this.forgotten = 0;
    for (const data of this.frameData.values()) data.revision = -1;
  }

  /** whether what is known of a frame is up to date */
  isFresh(/** @type {number} */ frame) {
    return (this.frameData.get(frame)?.revision ?? -1) >= this.forgotten;
  }

  /** what is known of this frame */
  get current() {
    return this.frameData.get(this.frame);
  }

  /** the frames that tracking and export are for, the first and the last @returns {[number, number]} */
  get wanted() {
    const last = this.video.frames - 1;
    const [from, to] = [Number(this.settings.from), Number(this.settings.to)];
    return [from >= 0 ? Math.min(from, last) : 0, to >= 0 ? Math.min(to, last) : last];
  }

  /** frames on which an object has a mask of a kind, ascending */
  framesOf(/** @type {string} */ kind, objects = this.objects) {
    const frames = objects.flatMap(({ id }) => [...this.marksOf(id)].filter(([, mark]) => mark.kind === kind));
    return [...new Set(frames.map(([frame]) => frame))].sort((a, b) => a - b);
  }

  /**
   * frames that the keys , and . go to: corrected ones, those where what is chosen lacks a mask or a review, or
   * doubtful ones
   */
  get sought() {
    if (this.settings.seek === "review")
      return [...new Set(this.unsure().map(({ frame }) => frame))].sort((a, b) => a - b);
    if (this.settings.seek === "given") return this.framesOf("given");
    if (this.settings.seek === "changed")
      return [...new Set(this.changes.map(({ frame }) => frame))].sort((a, b) => a - b);
    const [first, last] = this.wanted;
    const marks = (this.chosenIds.length ? this.chosenIds : this.objects.map(({ id }) => id)).map((id) =>
      this.marksOf(id),
    );
    if (this.settings.seek === "unreviewed") {
      const frames = marks.flatMap((known) => [...known].filter(([, mark]) => !mark.reviewed).map(([frame]) => frame));
      return [...new Set(frames)].filter((frame) => frame >= first && frame <= last).sort((a, b) => a - b);
    }
    return Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((frame) =>
      marks.some((known) => !known.has(frame)),
    );
  }

  /** what trackings changed and nobody has judged: of what is chosen, or where there is nothing of all objects
   * @returns {Change[]}
   */
  get changes() {
    const of = (/** @type {number[]} */ ids) =>
      ids.flatMap((object) =>
        [...(this.agreements.get(object) ?? [])].map(([frame, agreement]) => ({ frame, object, agreement })),
      );
    const chosen = of(this.chosenIds);
    return chosen.length ? chosen : of(this.objects.map(({ id }) => id));
  }

  /** frames that a tracking can start from: corrected ones, or where there are none imported ones */
  get starts() {
    const objects = this.objects.filter((item) => !item.locked && (this.group === null || item.group === this.group));
    const given = this.framesOf("given", objects);
    return given.length ? given : this.framesOf("imported", objects);
  }

  /** whether this frame lies between two corrected ones that are not next to each other, as the server's plan */
  get canJoin() {
    const { starts } = this;
    const before =
      starts.filter((frame) => frame < this.frame).pop() ?? (starts.includes(this.frame) ? this.frame : Infinity);
    const after = starts.find((frame) => frame > this.frame) ?? -1;
    return after - before > 1;
  }

  /** whether an object is being tracked */
  isTracked(/** @type {number} */ id) {
    return Boolean(this.running?.objects?.includes(id));
  }

  /** the tool that a pointer has: the image can only be moved where nothing is annotated */
  get usedTool() {
    return this.mode === "annotate" ? this.tool : "hand";
  }

  /** the colour of what is drawn */
  get colour() {
    return this.chosenObject?.colour ?? "#ffffff";
  }

  /** whether the project can be changed now */
  get editable() {
    return this.mode === "annotate" && this.online;
  }

  /** objects in the order of the list: the one in front first */
  get ordered() {
    return [...this.objects].reverse();
  }

  /** those of them that match the filter */
  get listed() {
    const wanted = this.filter.trim().toLowerCase();
    const texts = (/** @type {TrackedObject} */ { name, category = "", group = "", attributes = {} }) => [
      name,
      category,
      group,
      ...Object.entries(attributes).map((pair) => pair.join(": ")),
    ];
    return this.ordered.filter((item) => texts(item).some((text) => text.toLowerCase().includes(wanted)));
  }

  /** the selected object */
  get object() {
    return this.target.id;
  }

  choose(/** @type {number | null} */ object) {
    this.target = { id: object, fresh: false };
    this.group = null;
    this.changed();
  }

  /** What is drawn next becomes a new object. */
  chooseNew() {
    this.choose(null);
    this.target.fresh = true;
  }

  /** The server has created the object of an edit; a selection made in the meantime stays. */
  made(/** @type {{id: number | null, fresh: boolean}} */ target, /** @type {number} */ id) {
    Object.assign(target, { id, fresh: false });
    if (this.target === target) this.group = null;
    this.changed();
  }

  chooseGroup(/** @type {string} */ name) {
    this.choose(null);
    this.group = name;
  }

  /** Replace the objects; if the selected one was removed, the last one is selected. */
  setObjects(/** @type {TrackedObject[]} */ objects) {
    this.known = objects;
    this.objects = objects.map((item) => ({ ...item, ...this.colourOf(item) }));
    if (!this.chosenIds.length) this.group = null;
    if (this.group === null && !this.chosenObject && !this.target.fresh)
      this.choose(objects[objects.length - 1]?.id ?? null);
  }

  /** The colour of an object, and the reason if it cannot be changed. */
  colourOf(/** @type {TrackedObject} */ { id, colour, category = "" }) {
    const isSafe = this.settings.palette === "safe";
    const place = this.settings.classColours ? this.schema.classes.findIndex(({ name }) => name === category) : -1;
    const ofClass = this.schema.classes[place]?.colour;
    if (ofClass) return { colour: isSafe ? safeColour(place) : ofClass, fixed: "Colour of its class" };
    return isSafe ? { colour: safeColour(id - 1), fixed: "Colour for the colour-blind" } : { colour, fixed: "" };
  }

  /** whether the selected object's mask on this frame has clicks, which may mean another mask */
  get hasReadings() {
    return this.object !== null && Boolean(this.current?.prompts[this.object]?.points.length);
  }

  /** the selected objects: one, or those of a group */
  get chosenIds() {
    if (this.group !== null) return this.objects.filter((item) => item.group === this.group).map((item) => item.id);
    return this.object === null ? [] : [this.object];
  }

  /** Whether an object is shown: it is visible, and selected where only the selection is shown. */
  isShown(/** @type {TrackedObject} */ { id, visible }) {
    if (!visible || !this.settings.solo) return visible;
    const { chosenIds } = this;
    return !chosenIds.length || chosenIds.includes(id);
  }

  /** whether the masks of other objects than the selected one are not shown */
  get showsAlone() {
    return this.settings.hidden || this.settings.solo;
  }

  get chosenObject() {
    return this.objects.find((item) => item.id === this.object);
  }

  /** The attributes of an object. @returns {AttributeDefinition[]} */
  attributesOf(/** @type {TrackedObject} */ item) {
    return [
      ...this.schema.attributes,
      ...(this.schema.classes.find(({ name }) => name === item.category)?.attributes ?? []),
    ];
  }

  /**
   * Frames to look at next: where an object jumps or falls apart, and the least sure ones; none of an object within
   * ten frames.
   */
  unsure() {
    return unsureFrames(this.objects, (id) => this.marksOf(id), this.flaws, Number(this.settings.threshold));
  }
}

/** what all parts of the page share */
export const state = new State();
