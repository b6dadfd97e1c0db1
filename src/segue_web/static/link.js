// What the page of a project asks of its server, and how it names this browser and its person.

import { notice } from "./dom.js";
import { Refused, Socket, waitBefore } from "./socket.js";
import { state } from "./state.js";

/** what the address of a page ends with that shows a video of a list: its number */
const OF_LIST = /^#video=([0-9]{1,9})$/;

/** The number of the video of a list that this page shows, as its address says. */
const videoOfPage = () => {
  const number = location.hash.match(OF_LIST)?.[1];
  return number === undefined ? undefined : Number(number);
};

/** Show another video of a list in this page alone. */
export function showVideo(/** @type {number} */ number) {
  history.replaceState(null, "", `#video=${number}`);
  location.reload();
}
const pause = (/** @type {number} */ milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** @type {Socket | null} */
let connection = null;

/**
 * Connect again and again; what is called hears of events, and whether there is a connection, or at least segue.
 * @param {(event: any) => void} onEvent @param {(online: boolean, mayReturn: boolean) => void} onState
 */
export function connect(onEvent, onState) {
  connection = new Socket({
    onEvent,
    onState: (online, mayReturn) => {
      if (online) state.connected();
      onState(online, mayReturn);
    },
  });
}

/** The answer to a request; an error where it is refused. @returns {Promise<any>} */
export async function request(/** @type {string} */ op, fields = {}) {
  if (!connection) throw new Refused("not connected to segue");
  // Of several videos, the one that this page shows.
  const video = op === "hello" ? videoOfPage() : state.video.number;
  return connection.request(op, { ...fields, video, user: state.user || undefined });
}

/** The answer to a request; nothing where it is refused, which the person is told. @returns {Promise<any>} */
export const ask = (/** @type {string} */ op, fields = {}) =>
  request(op, fields).catch((error) => {
    complain(error);
  });

/**
 * What the page begins with, not older than what it has heard of since it is connected; null where it is not.
 * @returns {Promise<any>}
 */
export async function hello() {
  const socket = connection?.socket;
  for (let repeated = 0; ; repeated++) {
    const known = await ask("hello", thisBrowser());
    if (!known || socket !== connection?.socket) return null;
    if (!(known.revision < state.revision)) return known;
    await pause(waitBefore(repeated));
    if (socket !== connection?.socket) return null;
  }
}

/** Say something of little weight, of which an answer is not needed. */
export const tell = (/** @type {string} */ op, fields = {}) => void request(op, fields).catch(() => undefined);

/** Ask for frames, again where the answer is from before a change that the page has heard of. */
export async function loadFrames(/** @type {number[]} */ frames, repeated = 0) {
  const answer = await request("look", { frames: frames.slice(0, 64) }).catch(() => null);
  const old = (answer?.frames ?? []).filter(
    (/** @type {import("./state.js").FrameData} */ item) => !state.setFrameData(item) && !state.isFresh(item.frame),
  );
  state.changed();
  if (!old.length) return;
  await pause(waitBefore(repeated));
  const again = old.map((/** @type {import("./state.js").FrameData} */ item) => item.frame);
  await loadFrames(again, repeated + 1);
}

/** Say why something was refused. @returns {any} the message */
export function complain(/** @type {any} */ error) {
  const box = notice(error.message, "bad");
  if (error.stale) {
    state.outdateFrames((state.current?.revision ?? 0) + 1);
    void loadFrames([state.frame]);
  }
  return box;
}

/** where the browser keeps who it is, and whether it is a guest */
const BROWSER = "segue-browser";
/** where the browser keeps the name of the person, and the one that it was given to begin with */
const NAME = "segue-user";
let given = "";

/** Which browser this is; its windows are of one person. */
function thisBrowser() {
  const known = JSON.parse(localStorage.getItem(BROWSER) ?? "null") ?? { browser: crypto.randomUUID(), guest: false };
  localStorage.setItem(BROWSER, JSON.stringify(known));
  return known;
}

/** Take the name that this browser is given, or the one that was typed here; tells whether a guest is to be told. */
export function takeName(/** @type {string} */ name, /** @type {boolean} */ guest) {
  const isNew = guest && !thisBrowser().guest;
  localStorage.setItem(BROWSER, JSON.stringify({ ...thisBrowser(), guest }));
  const [start, typed] = JSON.parse(localStorage.getItem(NAME) ?? "[]");
  const isKnown = guest ? typed && !(isNew && typed === start) : start === name;
  given = name;
  state.guest = guest;
  state.user = isKnown ? typed : name;
  if (guest) giveName(state.user); // it stays, whoever comes first the next time
  return isNew && !isKnown;
}

/** Take a name that was typed, also for the next time; a guest always has one. */
export function giveName(/** @type {string} */ name) {
  state.user = name || (state.guest ? given : "");
  localStorage.setItem(NAME, JSON.stringify([given, state.user]));
  state.changed();
}

/** Load the person's keys and settings. */
export async function loadKeys() {
  const { user } = state;
  const answer = await ask("keys");
  if (!answer || state.user !== user) return;
  state.ownKeys = answer.keys ?? {};
  Object.assign(state.settings, answer.settings ?? {});
  state.changed();
}

/** Give a command or a tool a key, here and for the person in all projects. */
export function chooseKey(/** @type {string} */ name, /** @type {string} */ key) {
  state.ownKeys[name] = key;
  state.changed();
  if (state.mode === "annotate") void ask("keys", { name, key });
}

/** Change a setting, here and in a project for the next time. */
export function remember(/** @type {string} */ key, /** @type {unknown} */ value) {
  state.settings[key] = value;
  state.changed();
  if (state.mode === "annotate") tell("settings", { values: { [key]: value } });
}
