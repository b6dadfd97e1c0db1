// Hears of the states of the cameras, and asks for their newest images while the page is visible.

import { hearOfEvents, showLast } from "./activity.js";
import { cameras, IMAGE } from "./cameras.js";
import { element, tell } from "./dom.js";
import { sayScene } from "./scene.js";
import { Socket } from "./socket.js";

const RETRY = 1000; // milliseconds before images are asked for again after an error

/** @type {Socket | null} */
let socket = null;
let refused = 0; // sockets in a row that were not opened although the server answers
let followed = ""; // the images that are shown as they come, as JSON

/** The images that the view shows: of one camera, or of all at a width; empty for none. */
function wanted() {
  if (document.hidden || !socket?.open) return "";
  if (cameras.view === "camera") return JSON.stringify({ camera: cameras.chosen });
  if (cameras.view !== "wall") return "";
  return JSON.stringify({ width: Number(document.querySelector("#wall canvas")?.getAttribute("width")) || 1 });
}

/** Show the images of the view as they come, one answer after the other. */
export async function follow() {
  const view = wanted();
  if (view === followed) return;
  followed = view;
  /** number of the last image by camera @type {Record<string, number>} */
  const seen = {};
  while (view && followed === view && wanted() === view) {
    const answer = await socket?.request("images", { ...JSON.parse(view), seen }).catch(() => null);
    if (!answer) await new Promise((resolve) => setTimeout(resolve, RETRY));
    if (answer?.data && followed === view) await showImages(answer.images, answer.data, seen);
  }
  if (followed === view) followed = "";
}

/**
 * @param {{camera: string, frame: number, bytes: number}[]} images @param {ArrayBuffer} data
 * @param {Record<string, number>} seen
 */
async function showImages(images, data, seen) {
  let start = 0;
  for (const { camera, frame, bytes } of images) {
    const image = new Blob([data.slice(start, start + bytes)], { type: "image/jpeg" });
    start += bytes;
    cameras.setImage(camera, await createImageBitmap(image));
    seen[camera] = frame;
  }
  cameras.changed(IMAGE);
}

/** Show how the cameras are, and load what is new of them. @param {typeof cameras.states} states */
function hear(states) {
  const before = cameras.states;
  cameras.states = states;
  const { view, chosen } = cameras;
  sayScene(before, states);
  void follow();
  const news = Object.keys(states).filter((name) => before[name] && states[name].events !== before[name].events);
  if (view === "events" && news.length) void hearOfEvents().catch(tell);
  if (view === "camera" && news.includes(chosen)) void showLast(chosen, element("camera-last")).catch(tell);
  cameras.changed();
}

/** Ask how the cameras are. */
export async function look() {
  hear((await socket?.request("states"))?.states ?? cameras.states);
}

/** Whether the server answers, with the states; null if not, or if it knows this browser no more. */
async function answers() {
  const response = await fetch("states").catch(() => null);
  if (!response?.ok) return null;
  hear(await response.json());
  if (++refused > 2)
    element("offline").textContent = "The images are missing: a proxy between this page and segue refuses web sockets.";
  return true;
}

/** Connect, and again whenever the connection is lost; done with the first states, or without a connection. */
export const begin = () =>
  new Promise((resolve) => {
    const lost = element("offline").textContent;
    socket = new Socket({
      isServer: answers,
      onState: (open) => {
        element("offline").hidden = open;
        if (!open) {
          resolve(null);
          return;
        }
        refused = 0;
        element("offline").textContent = lost;
        void look().catch(tell).then(resolve);
      },
      onEvent: ({ states }) => {
        if (!document.hidden) hear(states);
      },
    });
  });

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && socket?.open) void look().catch(tell);
});
