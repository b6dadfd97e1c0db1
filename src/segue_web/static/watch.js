// The page of cameras: which of its views is shown, and its keys.

import { beginActivity, LIST_KEYS, loadActivity, openLink, showLast } from "./activity.js";
import { drawn } from "./camera.js";
import { cameras } from "./cameras.js";
import { listenKeys } from "./controls.js";
import { beginCounts, loadCounts } from "./counts.js";
import { element, headerButton, letThemeChange, offer, press, tell } from "./dom.js";
import "./health.js";
import { begin, follow } from "./look.js";
import "./wall.js";

/** What an address asks for: a view, what is shown in it, and a question behind ``?``. */
function addressed() {
  const [path, question = ""] = location.hash.slice(1).split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  const asked = new URLSearchParams(question);
  if (name === "events" && rest[0]) asked.set("camera", rest[0]);
  return { name, chosen: rest.join("/"), asked };
}

function navigate() {
  const { name, chosen, asked } = addressed();
  const isVisit = name === "visit";
  const known = ["camera", "events", "counts", "health"].includes(name) ? name : "wall";
  const view = isVisit ? "events" : known;
  if (view === "camera" && cameras.chosen !== chosen) drawn.end();
  Object.assign(cameras, { view, chosen });
  for (const id of /** @type {const} */ (["wall", "camera", "events", "counts", "health"]))
    element(id).hidden = id !== view;
  for (const link of document.querySelectorAll(".views a")) {
    if (link.getAttribute("href") === `#${view === "camera" ? "wall" : view}`)
      link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isVisit && element("dialog").open) element("dialog").close();
  if (isVisit) void openLink(chosen);
  else if (view === "events") void loadActivity(asked);
  if (view === "counts") void loadCounts().catch(tell);
  if (view === "camera") {
    element("camera-last").replaceChildren();
    void showLast(chosen, element("camera-last")).catch(tell);
  }
  void follow();
  cameras.changed();
}

/** Enter or leave full screen, with the zones. */
const toggleScreen = () =>
  void (document.fullscreenElement ? document.exitFullscreen() : element("view").requestFullscreen()).catch(tell);

headerButton("zones", "polygon", "Zones", () => cameras.toggleZones());
headerButton("screen", "room", "Full screen", toggleScreen);
document.onfullscreenchange = () => press("screen", document.fullscreenElement !== null);
letThemeChange();
/** @type {import("./controls.js").Keys} */
const PAGE_KEYS = {
  z: () => element("zones").click(),
  f: toggleScreen,
  Escape: () => (drawn.active ? drawn.end() : cameras.view === "camera" && location.assign("#wall")),
  Backspace: () => drawn.active && element("zone-back").click(),
};
// The keys of a visit that is open go before.
listenKeys(() => (element("dialog").open ? {} : { ...PAGE_KEYS, ...(cameras.view === "events" && LIST_KEYS) }));
addEventListener("hashchange", navigate);
new ResizeObserver(() => cameras.changed()).observe(element("view"));
await begin();
beginActivity();
beginCounts();
const offerCameras = () => {
  for (const id of /** @type {const} */ (["by-camera", "counts-camera"])) offer(id, Object.keys(cameras.states));
};
offerCameras();
cameras.listen(offerCameras); // others may come while the page is open
navigate();
