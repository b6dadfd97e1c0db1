// Polls the states of the cameras and their newest images while the page is visible.

import { hearOfEvents, showLast } from "./activity.js";
import { cameras, IMAGE } from "./cameras.js";
import { element, tell } from "./dom.js";
import { sayScene } from "./scene.js";

const EVERY = 1000; // milliseconds between two looks
let [asked, answered] = [0, 0]; // looks, and the newest one with an answer

/** Load the newest image of a camera, or the one after a frame; gives its number. */
async function loadImage(/** @type {string} */ name, after = "") {
  const response = await fetch(`image/${name}.jpg${after && `?after=${after}`}`);
  if (!response.ok) return "";
  cameras.setImage(name, await createImageBitmap(await response.blob()));
  return response.headers.get("Frame") ?? "";
}

/** the camera whose frames are shown as they come @type {{name: string} | null} */
let following = null;

/** Show each frame of the selected camera, at its rate. */
export async function follow() {
  if (cameras.view !== "camera" || following?.name === cameras.chosen) return;
  const mine = { name: cameras.chosen };
  following = mine;
  const goesOn = () =>
    following === mine && cameras.view === "camera" && cameras.chosen === mine.name && !document.hidden;
  let number = "";
  while (goesOn()) {
    const next = await loadImage(mine.name, number).catch(() => "");
    if (!next || next === number) await new Promise((resolve) => setTimeout(resolve, EVERY));
    number = next || number;
    if (goesOn()) cameras.changed(IMAGE);
  }
  if (following === mine) following = null;
}

/** Read the frames of an answer of `live`; each is a line of JSON, then an image. */
async function readFrames(/** @type {ReadableStreamDefaultReader<Uint8Array>} */ reader, goesOn = () => true) {
  let bytes = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !goesOn()) return;
    const joined = new Uint8Array(bytes.length + value.length);
    joined.set(bytes);
    joined.set(value, bytes.length);
    bytes = joined;
    for (;;) {
      const end = bytes.indexOf(10);
      if (end < 0) break;
      const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
      if (bytes.length < end + 1 + head.bytes) break;
      const image = new Blob([bytes.slice(end + 1, end + 1 + head.bytes)], { type: "image/jpeg" });
      bytes = bytes.slice(end + 1 + head.bytes);
      cameras.setImage(head.camera, await createImageBitmap(image));
      cameras.changed(IMAGE);
    }
  }
}

let isLive = false;

/** Show the frames of all cameras as they come, at the size of the tiles, while the wall is shown. */
async function showLive() {
  if (isLive) return;
  isLive = true;
  const goesOn = () => cameras.view === "wall" && !document.hidden;
  while (goesOn()) {
    const ended = new AbortController();
    try {
      const width = document.querySelector("#wall canvas")?.getAttribute("width") ?? "";
      const response = await fetch(`live?width=${width}`, { signal: ended.signal });
      if (!response.ok || !response.body) break; // the next look tells
      await readFrames(response.body.getReader(), goesOn);
    } catch {
      break;
    } finally {
      ended.abort();
    }
  }
  isLive = false;
}

/** Ask how the cameras are, and for their images where these are shown. */
export async function look() {
  const number = ++asked;
  const response = await fetch("states");
  const answer = await response.json();
  if (number < answered) return; // a later one was faster
  answered = number;
  const before = cameras.states;
  const states = (cameras.states = answer);
  const { view, chosen } = cameras;
  element("offline").hidden = true;
  sayScene(before, states);
  void follow();
  if (view === "wall") void showLive();
  const news = Object.keys(states).filter((name) => before[name] && states[name].events !== before[name].events);
  if (view === "events" && news.length) void hearOfEvents().catch(tell);
  if (view === "camera" && news.includes(chosen)) void showLast(chosen, element("camera-last")).catch(tell);
  cameras.changed();
}

/** Poll now, and report missing answers. */
export const tryLook = () =>
  look().catch(() => {
    element("offline").hidden = false;
  });

/** Continue polling; a hidden page sends no requests. */
export function goOn() {
  setTimeout(async () => {
    if (!document.hidden) await tryLook();
    goOn();
  }, EVERY);
}
