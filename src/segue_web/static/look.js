// Hears of the states of the cameras, and asks for their newest images while the page is visible.

import { hearOfEvents, showLast } from "./activity.js";
import { cameras, IMAGE } from "./cameras.js";
import { element, tell } from "./dom.js";
import { sayScene } from "./scene.js";
import { FULL, Socket } from "./socket.js";

const PATIENCE = 15000; // milliseconds without states, of which some come each second, after which a connection is lost
const RETRY = 1000; // milliseconds before images are asked for again after an error

/** @type {Socket | null} */
let socket = null;
let refused = 0; // sockets in a row that were not opened although the server answers
let followed = { view: "" }; // the images that are shown as they come, as JSON

/** The images that the view shows: of one camera, or of all at a width; empty for none. */
function wanted() {
  if (document.hidden || !socket?.open) return "";
  if (cameras.view === "camera") return JSON.stringify({ camera: cameras.chosen });
  if (cameras.view !== "wall") return "";
  return JSON.stringify({ width: Number(document.querySelector("#wall canvas")?.getAttribute("width")) || 1 });
}

/** Show the images of the view as they come, one answer after the other, until another view is followed. */
export async function follow() {
  const mine = { view: wanted() };
  if (mine.view === followed.view) return;
  followed = mine;
  /** number of the last image by camera @type {Record<string, number>} */
  const seen = {};
  while (mine.view && followed === mine) {
    try {
      const answer = await socket?.request("images", { ...JSON.parse(mine.view), seen });
      let start = 0;
      for (const { camera, frame, bytes } of answer.images) {
        const data = answer.data.slice(start, start + bytes);
        start += bytes;
        const image = await createImageBitmap(new Blob([data], { type: "image/jpeg" }));
        if (followed !== mine) return; // these may be smaller
        cameras.setImage(camera, image);
        seen[camera] = frame;
      }
      cameras.changed(IMAGE);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
    void follow(); // where the tiles have another size, or nothing is shown any more
  }
}

/** Show how the cameras are, and load what is new of them. @param {typeof cameras.states} states */
function hear(states) {
  const before = cameras.states;
  cameras.states = states;
  for (const [name, image] of cameras.images) {
    if (states[name]) continue;
    image.close(); // of a camera that was removed; one that comes under its name may show another place
    cameras.images.delete(name);
  }
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
      patience: PATIENCE,
      onState: (open, _, code) => {
        element("offline").hidden = open;
        if (!open) {
          if (code === FULL)
            element("offline").textContent = "Too many pages are open. Close one; this page then connects.";
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
