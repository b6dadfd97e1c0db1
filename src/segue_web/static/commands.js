// Commands: each has a name, an icon, perhaps keys, and one way to run it.

import { commentAtPlace, peopleDialog } from "./comments.js";
import { goWorst } from "./curve.js";
import { importDialog, mergeDialog, spreadDialog } from "./dialogs.js";
import { toggleDisplay, toggleNeighbours } from "./display.js";
import { commandButton, element, isNarrow, notice, otherTheme, placeNotices } from "./dom.js";
import {
  clean,
  copyMask,
  forget,
  judge,
  moveLayer,
  nextCandidate,
  pasteMask,
  removeKey,
  removeShape,
  review,
  setShapeKey,
  shapeOfMasks,
  split,
  stop,
  toggleChosen,
  track,
  trackAll,
  undo,
  until,
} from "./edits.js";
import { exportDialog } from "./export.js";
import { helpDialog } from "./help.js";
import { keyHere } from "./keys_of_shape.js";
import { fold, foldAll } from "./layout.js";
import { remember } from "./link.js";
import { go, goSought, goUnsure, togglePlay } from "./playback.js";
import { prompterDialog } from "./prompters.js";
import { classDialog, schemaDialog } from "./schema.js";
import { shapes } from "./shape.js";
import { CHANGE_VIEWS, COMPARE_MODES, state } from "./state.js";
import { adopt, find } from "./suggestions.js";
import { tools } from "./tools.js";
import { nextVideo, openVideo, videosDialog } from "./videos.js";
import { view } from "./view.js";

const editable = () => state.editable;
const annotates = () => state.mode === "annotate";
const isFree = () => hasChosen() && !(state.object !== null && state.isTracked(state.object));
const hasObject = () => editable() && state.object !== null;
const hasMask = () => hasObject() && (state.marksOf(Number(state.object)).get(state.frame)?.area ?? 0) > 0;
const hasChosen = () => editable() && Boolean(state.chosenObject);
const hasShape = () => isFree() && shapes.known.length > 0;
const hasChange = (/** @type {number} */ first, /** @type {number} */ last) =>
  editable() && state.changes.some(({ frame, object }) => frame >= first && frame <= last && !state.isTracked(object));
const changesHere = () => hasChange(state.frame, state.frame);
const changesInRange = () => hasChange(...state.wanted);
// An edit that the server has not answered yet may be what there is to track or to undo; both wait for it.
const canTrack = () => editable() && (state.pending > 0 || state.starts.length > 0);

/** @type {Record<string, import("./dialogs.js").Command>} */
export const commands = {
  play: { name: "Play or pause", icon: "play", keys: "space", run: () => togglePlay() },
  back: { name: "Previous frame", icon: "previous", keys: "ArrowLeft", run: () => go(state.frame - 1) },
  forward: { name: "Next frame", icon: "next", keys: "ArrowRight", run: () => go(state.frame + 1) },
  back10: {
    name: "Step back by several frames",
    icon: "previous",
    keys: "shift+ArrowLeft",
    run: () => go(state.frame - Number(state.settings.stride)),
  },
  forward10: {
    name: "Step forward by several frames",
    icon: "next",
    keys: "shift+ArrowRight",
    run: () => go(state.frame + Number(state.settings.stride)),
  },
  loop: { name: "Repeat the range", icon: "loop", run: () => remember("loop", !state.settings.loop) },
  first: { name: "First frame", icon: "first", keys: "Home", run: () => go(0) },
  last: { name: "Last frame", icon: "last", keys: "End", run: () => go(state.video.frames - 1) },
  previousGiven: {
    name: "Previous frame of the kind set in “Go to”",
    icon: "given",
    keys: ",",
    run: () => goSought(-1),
  },
  nextGiven: {
    name: "Next frame of the kind set in “Go to”",
    icon: "nextGiven",
    keys: ".",
    run: () => goSought(1),
  },
  nextUnsure: { name: "Go to the next frame to review", icon: "next", keys: "m", run: () => goUnsure() },
  trackForward: {
    name: "Track the selected object forwards, with objects corrected on the same frame",
    text: "Track",
    icon: "forward",
    keys: "t",
    can: canTrack,
    run: () => void track("forward"),
  },
  trackBack: {
    name: "Track the selected object backwards, with objects corrected on the same frame",
    text: "Back",
    icon: "back",
    keys: "shift+T",
    can: canTrack,
    run: () => void track("back"),
  },
  trackBetween: {
    name: "Track from the previous to the next corrected frame",
    text: "Between",
    icon: "between",
    keys: "g",
    can: () => canTrack() && (state.pending > 0 || state.canJoin),
    run: () => void track("between"),
  },
  trackAll: {
    name: "Track all objects forwards, including finished ones",
    text: "Track all",
    icon: "forwardAll",
    keys: "o",
    can: canTrack,
    run: () => void trackAll("forward"),
  },
  trackAllBack: {
    name: "Track all objects backwards, including finished ones",
    icon: "backAll",
    keys: "shift+O",
    can: canTrack,
    run: () => void trackAll("back"),
  },
  rangeFrom: {
    name: "Set the first frame to track and export; press again to remove the limit",
    icon: "from",
    keys: "<",
    can: editable,
    run: () => setRange("from"),
  },
  rangeTo: {
    name: "Set the last frame to track and export; press again to remove the limit",
    icon: "to",
    keys: ">",
    can: editable,
    run: () => setRange("to"),
  },
  rename: { name: "Rename the selected object", icon: "panel", keys: "F2", can: hasChosen, run: () => goInto("name") },
  chooseClass: {
    name: "Set the class of the selected object",
    icon: "panel",
    keys: "k",
    can: hasChosen,
    run: () =>
      state.schema.classes.some(({ key }) => key) || !state.schema.classes.length ? classDialog() : goInto("category"),
  },
  chooseGroup: {
    name: "Set the group of the selected object",
    icon: "panel",
    keys: "q",
    can: hasChosen,
    run: () => goInto("group"),
  },
  addAttribute: {
    name: "Set an attribute of the selected object",
    icon: "panel",
    keys: "j",
    can: hasChosen,
    run: () => goInto("attribute"),
  },
  wholeGroup: {
    name: "Select the object's group to track, export, hide or lock it",
    icon: "panel",
    keys: "u",
    can: () => Boolean(state.chosenObject?.group),
    run: () => state.chooseGroup(state.chosenObject?.group ?? ""),
  },
  toFront: {
    name: "Bring the selected object to the front",
    icon: "up",
    keys: "}",
    can: () => hasChosen() && state.objects.at(-1)?.id !== state.object,
    run: () => moveLayer(Number(state.object), null),
  },
  toBack: {
    name: "Send the selected object to the back",
    icon: "down",
    keys: "{",
    can: () => hasChosen() && state.objects[0]?.id !== state.object,
    run: () => moveLayer(Number(state.object), state.objects[0].id),
  },
  hide: {
    name: "Hide or show the selection",
    icon: "eye",
    keys: "y",
    can: () => state.chosenIds.length > 0,
    run: () => toggleChosen("visible"),
  },
  lock: {
    name: "Lock or unlock the selection",
    icon: "lock",
    keys: "l",
    can: () => editable() && state.chosenIds.length > 0,
    run: () => toggleChosen("locked"),
  },
  stop: {
    name: "Stop",
    text: "Stop",
    icon: "stop",
    keys: "Escape",
    can: () => Boolean(state.running || state.exporting || state.starting),
    run: () => stop(),
  },
  undo: {
    name: "Undo",
    icon: "undo",
    keys: "z",
    can: () => editable() && (state.history.undo !== null || state.pending > 0),
    run: () => undo("undo"),
  },
  redo: {
    name: "Redo",
    icon: "redo",
    keys: "shift+Z",
    can: () => editable() && state.history.redo !== null,
    run: () => undo("redo"),
  },
  newObject: {
    name: "New object",
    icon: "plus",
    keys: "n",
    can: editable,
    run: () => {
      state.chooseNew();
      until(notice("Click on the new object, or draw a box around it."), () => !state.target.fresh);
    },
  },
  hideObject: {
    name: "Mark the object as not visible on this frame",
    text: "Not visible",
    icon: "closed",
    keys: "Backspace",
    can: hasObject,
    run: () => forget(true),
  },
  clearObject: {
    name: "Clear the object's mask on this frame",
    text: "Clear mask",
    icon: "clear",
    keys: "Delete",
    can: () => hasObject() && state.marksOf(Number(state.object)).has(state.frame),
    run: () => forget(false),
  },
  whole: {
    name: "Whole: clicks segment the whole object again instead of correcting the region under them",
    text: "Whole",
    icon: "group",
    keys: "shift+C",
    can: editable,
    run: () => {
      state.whole = !state.whole;
      state.changed();
    },
  },
  candidate: {
    name: "Next alternative mask of the clicks: for a correction, the whole object anew",
    text: "Next alternative",
    icon: "candidate",
    keys: "shift+M",
    can: () => editable() && (state.pending > 0 || state.hasReadings),
    run: () => void nextCandidate(),
  },
  fillHoles: {
    name: "Fill the holes of the mask",
    text: "Fill holes",
    icon: "fill",
    can: hasMask,
    run: () => clean("holes"),
  },
  removeSpecks: {
    name: "Remove specks: small parts of the mask",
    text: "Remove specks",
    icon: "specks",
    can: hasMask,
    run: () => clean("specks"),
  },
  copyMask: { name: "Copy the mask", text: "Copy", icon: "copy", keys: "ctrl+c", can: hasMask, run: () => copyMask() },
  pasteMask: {
    name: "Paste the copied mask here",
    text: "Paste",
    icon: "paste",
    keys: "ctrl+v",
    can: editable,
    run: () => pasteMask(),
  },
  spreadMask: {
    name: "Copy the mask to other frames",
    text: "Copy to other frames",
    icon: "spread",
    can: hasMask,
    run: () => spreadDialog(),
  },
  splitObject: {
    name: "Split: start a new object on this frame",
    text: "Split the object here",
    icon: "split",
    can: isFree,
    run: () => void split(),
  },
  mergeObject: {
    name: "Merge with another object",
    text: "Merge with another object",
    icon: "merge",
    can: () => isFree() && state.objects.length > 1,
    run: () => mergeDialog(),
  },
  find: {
    name: "Suggest objects on this frame",
    text: "Find",
    icon: "find",
    keys: "f",
    can: () => editable() && !state.finding,
    run: () => find(),
  },
  findMoving: {
    name: "Suggest moving objects around this frame",
    text: "Find what moves",
    icon: "find",
    can: () => editable() && !state.finding,
    run: () => find("motion"),
  },
  findNamed: {
    name: "Suggest and name people, vehicles, animals and other objects on this frame",
    text: "Find and name objects",
    icon: "find",
    can: () => editable() && !state.finding,
    run: () => find("nanodet"),
  },
  adopt: {
    name: "Add the selected suggestions as objects",
    text: "Add as objects",
    icon: "plus",
    can: editable,
    run: () => adopt(),
  },
  smaller: {
    name: "Smaller brush",
    icon: "minus",
    keys: "[",
    can: editable,
    run: () => remember("brush", Math.max(2, Math.round(Number(state.settings.brush) * 0.8))),
  },
  larger: {
    name: "Larger brush",
    icon: "plus",
    keys: "]",
    can: editable,
    run: () => remember("brush", Math.min(300, Math.ceil(Number(state.settings.brush) * 1.25))),
  },
  compare: {
    name: "Next comparison view: slider, side by side, difference",
    icon: "panel",
    keys: "c",
    mode: "compare",
    can: () => state.mode === "compare",
    run: () => {
      const modes = COMPARE_MODES.map(([id]) => id);
      view.arrange(() => {
        state.compare = modes[(modes.indexOf(state.compare) + 1) % modes.length];
      });
    },
  },
  worst: {
    name: "Go to the worst frame; press again for the next one",
    icon: "next",
    keys: "w",
    mode: "compare",
    can: () => state.mode === "compare",
    run: () => goWorst(),
  },
  masks: {
    name: "Hide or show the masks",
    icon: "eye",
    keys: "h",
    run: () => {
      state.settings.hidden = !state.settings.hidden;
      state.changed();
    },
  },
  solo: {
    name: "Show only the selection; press again to show all objects",
    text: "Only the selection",
    icon: "eye",
    keys: "/",
    run: () => remember("solo", !state.settings.solo),
  },
  labels: {
    name: "Show names and numbers on the masks",
    text: "Names and numbers",
    icon: "label",
    keys: "i",
    run: () => remember("labels", !state.settings.labels),
  },
  display: {
    name: "View and display settings: outlines, matte, cut-out, colours, neighbours, exposure",
    text: "Masks",
    icon: "sliders",
    keys: "shift+U",
    run: () => toggleDisplay(),
  },
  neighbours: {
    name: "Outline the masks of the previous and next frame",
    icon: "candidate",
    keys: "shift+G",
    run: () => toggleNeighbours(),
  },
  shapeKey: {
    name: "Set or remove a key of the shape on this frame",
    text: "Key here",
    icon: "key",
    keys: "=",
    can: hasShape,
    run: () => toggleKey(),
  },
  shapeOff: {
    name: "Hide or show the shape from this frame on",
    text: "Off from here",
    icon: "closed",
    can: hasShape,
    run: () => {
      if (shapes.chosen) setShapeKey(shapes.chosen.id, { on: !(keyHere().before?.[2] ?? true) });
    },
  },
  shapeHole: {
    name: "Draw a hole: cuts the next shape out of the object's shapes",
    text: "Hole",
    icon: "minus",
    can: hasShape,
    run: () => {
      tools.use("shape");
      shapes.hole = true;
      until(notice("Draw the outline of the hole."), () => !shapes.hole);
    },
  },
  shapeOfMasks: {
    name: "Convert the selected object's masks in the range to a shape with few corners and keys",
    text: "Of masks",
    icon: "shape",
    can: () => isFree() && !shapes.known.length && state.marksOf(Number(state.object)).size > 0,
    run: () => void shapeOfMasks(),
  },
  removeShape: {
    name: "Remove the shape and its masks",
    text: "Remove",
    icon: "trash",
    can: hasShape,
    run: () => {
      if (shapes.chosen) void removeShape(shapes.chosen.id);
    },
  },
  matteView: {
    name: "View the matte: opacity, white on black; press again for the masks",
    text: "Matte",
    icon: "matte",
    keys: "shift+Q",
    can: annotates,
    run: () => setView("matte"),
  },
  cutoutView: {
    name: "View the cut-out over a colour; press again for the masks",
    text: "Cut-out",
    icon: "cutout",
    keys: "shift+E",
    can: annotates,
    run: () => setView("cutout"),
  },
  masksView: {
    name: "View the masks",
    text: "Masks",
    icon: "eye",
    can: annotates,
    run: () => setView("masks"),
  },
  outlineView: {
    name: "View only the outlines; press again for the masks",
    text: "Outlines",
    icon: "polygon",
    keys: "shift+J",
    can: annotates,
    run: () => setView("outline"),
  },
  fit: {
    name: "Fit the image into the window",
    icon: "box",
    keys: "0",
    run: () => {
      view.fit();
      state.changed();
    },
  },
  zoomIn: { name: "Zoom in", icon: "plus", keys: "+", run: () => view.zoom(1.25) },
  zoomOut: { name: "Zoom out", icon: "minus", keys: "-", run: () => view.zoom(0.8) },
  importDialog: { name: "Import masks", text: "Import", icon: "import", can: editable, run: () => importDialog() },
  exportDialog: {
    name: "Export",
    text: "Export",
    icon: "export",
    can: () => editable() && !state.exporting,
    run: () => exportDialog(),
  },
  videos: {
    name: "Videos",
    text: "Videos",
    icon: "spread",
    keys: "shift+F",
    can: () => editable() && state.videos.length > 0,
    run: () => void videosDialog(),
  },
  nextVideo: {
    name: "Next video",
    icon: "next",
    keys: "shift+N",
    can: () => editable() && nextVideo() < state.videos.length,
    run: () => openVideo(nextVideo(), true),
  },
  schemaDialog: {
    name: "Classes and attributes",
    text: "Classes and attributes",
    icon: "list",
    can: editable,
    run: () => schemaDialog(),
  },
  prompterDialog: {
    name: "Network that answers clicks and boxes",
    text: "Network for clicks",
    icon: "network",
    can: editable,
    run: () => prompterDialog(),
  },
  people: {
    name: "People and comments",
    text: "People and comments",
    icon: "people",
    keys: "shift+K",
    can: editable,
    run: () => void peopleDialog(),
  },
  commentHere: {
    name: "Comment on the place under the pointer or crosshair",
    icon: "people",
    keys: "'",
    can: editable,
    run: () => commentAtPlace(),
  },
  review: {
    name: "Mark the mask on this frame as reviewed; press again to remove the mark",
    text: "Reviewed",
    icon: "check",
    keys: "shift+R",
    can: () => editable() && state.objects.some(({ id }) => state.marksOf(id).has(state.frame)),
    run: () => void review(state.frame, state.frame),
  },
  reviewRange: {
    name: "Mark all masks of the selection in the range as reviewed; press again to remove the marks",
    icon: "check",
    keys: "shift+V",
    can: () => editable() && state.objects.length > 0,
    run: () => void review(...state.wanted),
  },
  changeView: {
    name: "Next view of the changes: difference, previous mask, new mask",
    icon: "candidate",
    keys: "shift+B",
    can: () => state.changes.length > 0,
    run: () => {
      const views = CHANGE_VIEWS.map(([id]) => id);
      state.changeView = views[(views.indexOf(state.changeView) + 1) % views.length];
      state.changed();
    },
  },
  acceptChange: {
    name: "Accept the changes on this frame",
    text: "Accept",
    icon: "check",
    keys: "shift+Y",
    can: changesHere,
    run: () => void judge(state.frame, state.frame, true),
  },
  refuseChange: {
    name: "Reject the changes on this frame and restore the previous masks",
    text: "Reject",
    icon: "clear",
    keys: "shift+X",
    can: changesHere,
    run: () => void judge(state.frame, state.frame, false),
  },
  acceptChanges: {
    name: "Accept the changes in the range",
    text: "Accept",
    icon: "check",
    can: changesInRange,
    run: () => void judge(...state.wanted, true),
  },
  refuseChanges: {
    name: "Reject the changes in the range and restore the previous masks",
    text: "Reject",
    icon: "clear",
    can: changesInRange,
    run: () => void judge(...state.wanted, false),
  },
  theme: {
    name: "Dark or light",
    text: "Dark or light",
    icon: "theme",
    run: () => remember("theme", otherTheme(state.settings.theme)),
  },
  help: { name: "Help and keys", icon: "help", keys: "?", run: () => helpDialog(commands) },
  sidePanel: {
    name: "Fold or unfold the side panels",
    icon: "panel",
    keys: "shift+P",
    run: toggleSide,
  },
  timelinePanel: {
    name: "Fold or unfold the timeline",
    icon: "panel",
    keys: "shift+L",
    run: () => fold("timeline"),
  },
  room: {
    name: "Fold or unfold the panels and the timeline",
    text: "Fold the panels",
    icon: "room",
    keys: "shift+H",
    run: () => foldAll(),
  },
  drawer: {
    name: "Objects and frames",
    icon: "panel",
    run: toggleSide,
  },
};

/** Set the first or last frame to track, or remove the limit. */
function setRange(/** @type {"from" | "to"} */ end) {
  remember(end, Number(state.settings[end]) === state.frame ? -1 : state.frame);
  const [first, last] = state.wanted;
  if (first > last) remember(end === "from" ? "to" : "from", -1);
}

/** Set a key of the selected shape on this frame, or remove it. */
function toggleKey() {
  const { chosen } = shapes;
  if (!chosen) return;
  if (keyHere().at) removeKey(chosen.id);
  else setShapeKey(chosen.id, {});
}

/** Show the masks in another view, or in the usual view again. */
function setView(/** @type {string} */ way) {
  remember("view", state.settings.view === way ? "masks" : way);
}

/** Show or hide the side panels. */
function toggleSide() {
  if (isNarrow()) openSide(!element("side").classList.contains("open"));
  else fold("side");
}

/** Open or close the side panels in windows that are too narrow to show them always. */
function openSide(/** @type {boolean} */ open) {
  if (open) fold("side", false);
  element("side").classList.toggle("open", open);
  placeNotices();
  commandButton("drawer").setAttribute("aria-expanded", String(open));
}

/** Focus a field of the selected object. */
function goInto(/** @type {"name" | "category" | "group" | "attribute"} */ field) {
  openSide(true);
  element(field).focus();
  element(field).select();
}
